"""What a release says of itself: a page for people, a data dictionary, a citation, and a description for programs."""

import csv
import importlib.metadata
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
from jinja2 import Environment, PackageLoader, StrictUndefined

from ...schemas.tables import DDL, FORMAT_VERSION
from ..search.atlas import SubjectRow
from ..search.tables.model_row import ModelRow
from .verify import DESCRIPTION, ReleaseContents

_TEMPLATES = Environment(
    loader=PackageLoader(__package__, ""),
    autoescape=False,  # noqa: S701 - Markdown and YAML
    undefined=StrictUndefined,
    trim_blocks=True,
    keep_trailing_newline=True,
)


def write_texts(
    folder: Path,
    models: Sequence[ModelRow],
    subjects: Sequence[SubjectRow],
    n_rows: Mapping[str, int],
    *,
    maps: bool,
) -> None:
    """Write README.md, CITATION.cff, data_dictionary.tsv and the description for programs.

    Args:
        folder: the release.
        models: the models.
        subjects: rows of the table `subject`.
        n_rows: table → number of rows.
        maps: whether there are maps.
    """
    version = importlib.metadata.version("voxel-atlas")
    readme = _TEMPLATES.get_template("readme.md.jinja")
    texts = {
        "README.md": readme.render(version=version, models=models, subjects=subjects, n_rows=n_rows, maps=maps),
        "CITATION.cff": _TEMPLATES.get_template("citation.cff.jinja").render(version=version),
        "data_dictionary.tsv": data_dictionary(),
        DESCRIPTION: _description(models, subjects, n_rows, version),
    }
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")


def data_dictionary() -> str:
    """Every table and column with its type and meaning, as tab-separated text; the database's comments say the same."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter="\t", lineterminator="\n")
    writer.writerow(["table", "column", "type", "nullable", "description"])
    with duckdb.connect() as connection:
        connection.execute(DDL)
        writer.writerows(
            connection.execute(
                "SELECT t.table_name, c.column_name, c.data_type, c.is_nullable, c.comment FROM duckdb_tables() t "
                "JOIN (SELECT table_name, column_name, data_type, is_nullable, comment, column_index "
                "FROM duckdb_columns() UNION ALL "
                "SELECT table_name, '', 'table', FALSE, comment, 0 FROM duckdb_tables()) c USING (table_name) "
                "ORDER BY t.table_oid, c.column_index"
            ).fetchall()
        )
    return text.getvalue()


def _description(
    models: Sequence[ModelRow],
    subjects: Sequence[SubjectRow],
    n_rows: Mapping[str, int],
    version: str,
) -> str:
    contents: ReleaseContents = {
        "Format": FORMAT_VERSION,
        "Models": [model.model_id for model in models],
        "Subjects": [{"Id": s["subject_id"], "Dataset": s["dataset"], "Simulated": s["simulated"]} for s in subjects],
        "Rows": dict(n_rows),
    }
    content = {
        "Name": "A release of a voxel atlas",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "voxel-atlas", "Version": version}],
        "VoxelAtlas": contents,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
