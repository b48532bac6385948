"""Pages of the manual that are made from the code: every setting, every table and every option of the command line."""

import csv
import io
from collections.abc import Mapping

import duckdb
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from voxel_atlas.api.cli.main import app
from voxel_atlas.atlas.release.documents import data_dictionary
from voxel_atlas.schemas.config import IngestConfig, Settings
from voxel_atlas.schemas.tables import DDL


def pages() -> dict[str, str]:
    """Path within docs/ → Markdown."""
    return {
        "reference/settings.md": settings_page(),
        "reference/tables.md": tables_page(),
        "reference/command-line.md": command_line_page(),
    }


def settings_page() -> str:
    """Every setting with its default and meaning."""
    environment = {f"VOXEL_ATLAS_{name.upper()}": field for name, field in Settings.model_fields.items()}
    return "\n".join(
        [
            "# Settings\n",
            "Made from `schemas/config.py`; `voxel-atlas settings` prints the same with the present values.\n",
            "## Where things are, and how they are served\n",
            "Environment variables. None of them changes a result.\n",
            *_settings_table(environment),
            "\n## What a result depends on\n",
            "Options of `voxel-atlas ingest` (`n_alphas` is `--n-alphas`) and lines of its `--config` file. All of "
            "them are stored with the model, and their hash is part of its id.\n",
            *_settings_table(IngestConfig.model_fields),
        ]
    )


def tables_page() -> str:
    """Every table, view and column with its type and meaning, as the database's own comments say."""
    lines = ["# Tables\n", "Made from the comments in `schemas/tables.sql`, which the database holds too.\n"]
    for row in csv.DictReader(io.StringIO(data_dictionary()), delimiter="\t"):
        if not row["column"]:
            lines += [
                f"\n## {row['table']}\n",
                f"{row['description']}\n",
                "| column | type | meaning |",
                "|---|---|---|",
            ]
        else:
            kind = row["type"] + (", may be NULL" if row["nullable"] == "True" else "")
            lines.append(f"| `{row['column']}` | {kind} | {_cell(row['description'])} |")
    lines += ["\n## Views and macros\n", "| name | what it gives |", "|---|---|"]
    with duckdb.connect() as connection:
        connection.execute(DDL)
        views = "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal ORDER BY view_name"
        lines += [f"| `{name}` | {_cell(comment)} |" for name, comment in connection.execute(views).fetchall()]
        macros = "SELECT function_name, parameters FROM duckdb_functions() WHERE NOT internal ORDER BY function_name"
        lines += [
            f"| `{name}({', '.join(parameters)})` | A table; see [SQL](../ask.md#sql). |"
            for name, parameters in connection.execute(macros).fetchall()
        ]
    return "\n".join(lines)


def command_line_page() -> str:
    """Every command with its arguments and options."""
    return "\n".join(
        [
            "# The command line\n",
            "Made from the commands themselves; `voxel-atlas COMMAND --help` prints the same.\n",
            app.generate_docs(heading_level=2, flatten_commands=True),
        ]
    )


def _settings_table(fields: Mapping[str, FieldInfo]) -> list[str]:
    rows = [f"| `{name}` | {_default(field)} | {_cell(field.description or '')} |" for name, field in fields.items()]
    return ["| setting | default | meaning |", "|---|---|---|", *rows]


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:  # the home folder's is another on each machine
        return "the platform's data folder"
    if field.default is PydanticUndefined:
        return "required"
    return f"`{_cell(str(field.default))}`" if field.default not in ("", (), None) else ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
