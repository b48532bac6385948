"""What a release says of itself: a page for people, a data dictionary, a citation, and a description for programs."""

import csv
import importlib.metadata
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from ...schemas.tables import DDL, FORMAT_VERSION
from ..search.tables.model_row import ModelRow
from .verify import DESCRIPTION

CITATION = """\
cff-version: 1.2.0
message: If you use this release, please cite Voxel Atlas and the paper whose method it implements.
title: Voxel Atlas
type: software
version: {version}
license: MIT
authors:
  - name: The Voxel Atlas authors
references:
  - type: conference-paper
    title: "BrainLMM: A Label-Free Framework for Mapping Multi-Semantic Representation in the Human Visual Cortex"
    year: 2026
    conference:
      name: AAAI Conference on Artificial Intelligence
    authors:
      - name: The authors of BrainLMM
"""

_NSD_NOTE = """\
## Access agreement

{subjects}: the numbers in this release are derived from the Natural Scenes Dataset (NSD). Who receives NSD data agrees
to its terms of use first (https://naturalscenesdataset.org), and those terms govern what is derived from them too: read
them before you pass this release on, send others to the data set for the data itself, and cite Allen et al., Nature
Neuroscience 25, 116-126 (2022).
"""

_MAPS = """\
## Maps

`sub-*/func/` holds maps by model: R² on the test images (`stat-r2`), the noise ceiling (`stat-noiseceiling`), the
similarity to each chosen concept (`desc-*_stat-similarity`) and each voxel's first label (`*_dseg`, whose indices the
`.tsv` beside it names; 0 is none). A `.json` of the same name says what a map is. Outside the fitted voxels maps of
numbers hold NaN. Volumes are NIfTI; surfaces are GIFTI, a file a hemisphere, and CIFTI, a file for all maps of a kind.
"""

_OPEN = """\
## Open it

```sql
-- DuckDB
SELECT model_id, method, lemma, count(*) AS n_voxels
FROM 'tables/label_score.parquet' JOIN 'tables/label.parquet' USING (label_id)
WHERE rank = 1 GROUP BY ALL ORDER BY n_voxels DESC;
```
```python
polars.read_parquet("tables/encoding.parquet")  # or pandas.read_parquet
nibabel.load("sub-.../func/..._statmap.nii.gz")
```

`data_dictionary.tsv` explains every column. `sha256sum -c SHA256SUMS` or `voxel-atlas verify DIR` checks the files, and
`voxel-atlas import DIR` brings them into an atlas. The images that the subjects saw are not part of the release:
`stimulus` says which they were.
"""


def write_texts(
    folder: Path,
    models: Sequence[ModelRow],
    subjects: Sequence[Mapping[str, Any]],
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
    texts = {
        "README.md": _readme(models, subjects, n_rows, maps=maps),
        "CITATION.cff": CITATION.format(version=version),
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


def _readme(
    models: Sequence[ModelRow],
    subjects: Sequence[Mapping[str, Any]],
    n_rows: Mapping[str, int],
    *,
    maps: bool,
) -> str:
    kinds = {True: "**simulated**: its responses were computed and not measured", False: "measured"}
    parts = [
        "# A release of a voxel atlas\n",
        "Encoding models of visual cortex and the words that label its voxels, written by "
        f"[Voxel Atlas](CITATION.cff) {importlib.metadata.version('voxel-atlas')}.\n",
        "## Subjects\n",
        "".join(f"- `{s['subject_id']}`: {kinds[s['simulated']]}. {s['description']}\n" for s in subjects),
        "## Models\n",
        "".join(f"- `{m.model_id}`: {m.n_voxels:,} voxels, {m.n_significant:,} significant\n" for m in models),
    ]
    if from_nsd := [s["subject_id"] for s in subjects if s["dataset"] == "nsd"]:
        parts.append(_NSD_NOTE.format(subjects=", ".join(from_nsd)))
    parts += ["## Tables\n", "".join(f"- `tables/{name}.parquet`: {n:,} rows\n" for name, n in n_rows.items())]
    return "\n".join([*parts, *([_MAPS] if maps else []), _OPEN])


def _description(
    models: Sequence[ModelRow],
    subjects: Sequence[Mapping[str, Any]],
    n_rows: Mapping[str, int],
    version: str,
) -> str:
    content = {
        "Name": "A release of a voxel atlas",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "voxel-atlas", "Version": version}],
        "VoxelAtlas": {
            "Format": FORMAT_VERSION,
            "Models": [model.model_id for model in models],
            "Subjects": [
                {"Id": s["subject_id"], "Dataset": s["dataset"], "Simulated": s["simulated"]} for s in subjects
            ],
            "Rows": dict(n_rows),
        },
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"
