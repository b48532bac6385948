"""Values of tables as JSON has them, at every door."""

from decimal import Decimal
from json import dumps
from math import isfinite


def json_text(value: object) -> str:
    """A value as JSON: null for what is not finite, numbers for decimals, as DuckDB's sums are, text for the rest."""
    return dumps(_json(value), default=str, ensure_ascii=False)


def _json(value: object) -> object:
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, dict):
        return {name: _json(one) for name, one in value.items()}
    if isinstance(value, float | Decimal) and not isfinite(value):
        return None
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value
