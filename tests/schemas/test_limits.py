"""The manual's table of a server's limits is what the server has."""

from pathlib import Path

from voxel_atlas.schemas.limits import LIMITS, ServerLimits

MANUAL = Path(__file__).parents[2] / "docs" / "serving.md"


def test_the_manual_has_each_limit_with_its_value() -> None:
    table = [
        f"| `{name}` | {value:,} | {field.description} |"
        if isinstance(value, int | float)
        else f"| `{name}` | {value} | {field.description} |"
        for name, field in ServerLimits.model_fields.items()
        for value in [getattr(LIMITS, name)]
    ]
    lines = MANUAL.read_text(encoding="utf-8").splitlines()
    begin = lines.index("| limit | value | of what |") + 2
    assert lines[begin : begin + len(table)] == table
    assert not lines[begin + len(table)]
