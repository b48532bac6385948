"""The atlas's tables as Arrow schemas. tables.sql says the same as DDL and a test holds the two equal."""

from importlib.resources import files

import pyarrow as pa

FORMAT_VERSION = 2
"""Format of the tables that this version reads and writes."""

DDL = files(__package__).joinpath("tables.sql").read_text(encoding="utf-8")
"""The statements that make an empty atlas; each can be run again without harm."""

COMMENTS = files(__package__).joinpath("comments.sql").read_text(encoding="utf-8")
"""Further comments, on macros and on columns of views, for databases that are not a DuckLake; run after the DDL."""

_string, _int, _long, _float, _double, _bool = (
    pa.string(),
    pa.int32(),
    pa.int64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
)
_time = pa.timestamp("us", tz="UTC")
_ints, _floats = pa.list_(_int), pa.list_(_float)


def _schema(nullable: str = "", **columns: pa.DataType) -> pa.Schema:
    optional = nullable.split()
    return pa.schema([pa.field(name, kind, nullable=name in optional) for name, kind in columns.items()])


TABLES: dict[str, pa.Schema] = {
    "atlas_format": _schema(version=_int, created=_time),
    "subject": _schema(
        "surface transform shape",
        subject_id=_string,
        dataset=_string,
        simulated=_bool,
        space=_string,
        surface=_string,
        transform=_string,
        shape=_ints,
        description=_string,
    ),
    "roi": _schema(subject_id=_string, roi=_string, source=_string, description=_string),
    "voxel": _schema(
        "i j k hemisphere vertex noise_ceiling",
        subject_id=_string,
        voxel=_int,
        i=_int,
        j=_int,
        k=_int,
        hemisphere=_string,
        vertex=_int,
        noise_ceiling=_float,
    ),
    "voxel_roi": _schema("t", subject_id=_string, voxel=_int, roi=_string, t=_float),
    "stimulus": _schema(stimulus_id=_string, dataset=_string, uri=_string, sha256=_string),
    "caption": _schema(stimulus_id=_string, box=_ints, captioner=_string, text=_string),
    "model": _schema(
        "feature_covariance",
        model_id=_string,
        subject_id=_string,
        backbone=_string,
        config=_string,
        config_sha256=_string,
        feature_mean=_floats,
        feature_covariance=_floats,
        label_backbone=_string,
        n_train=_int,
        n_test=_int,
        n_voxels=_int,
    ),
    "split": _schema(model_id=_string, stimulus_id=_string, part=_string),
    "encoding": _schema(
        model_id=_string, voxel=_int, weights=_floats, bias=_float, alpha=_double, r2=_float, r=_float, p=_float
    ),
    "dropped": _schema(model_id=_string, voxel=_int, reason=_string),
    "significance": _schema(model_id=_string, voxel=_int, q=_float),
    "learning_curve": _schema(model_id=_string, voxel=_int, n_blocks=_int, n_train=_int, r2=_float, r=_float),
    "top_image": _schema(model_id=_string, voxel=_int, rank=_int, stimulus_id=_string, box=_ints, response=_float),
    "label": _schema(label_id=_long, lemma=_string),
    "label_embedding": _schema(label_id=_long, backbone=_string, vector=_floats),
    "synthetic_image": _schema(
        label_id=_long, generator=_string, ordinal=_int, seed=_long, uri=_string, sha256=_string
    ),
    "label_score": _schema(
        model_id=_string,
        voxel=_int,
        method=_string,
        label_id=_long,
        score=_double,
        rank=_int,
        probability=_float,
    ),
    "planting": _schema(subject_id=_string, voxel=_int, concept=_string, category=_string, weight=_float),
    "run": _schema(
        run_id=_string,
        model_id=_string,
        config=_string,
        code_version=_string,
        state=_string,
        recorded_at=_time,
        message=_string,
    ),
    "ledger": _schema(
        run_id=_string, stage=_string, batch_key=_string, content_sha256=_string, n_rows=_long, committed_at=_time
    ),
}
"""Table name → Arrow schema, in the order of tables.sql."""

SHARED = {
    "stimulus": ("stimulus_id",),
    "caption": ("stimulus_id", "box", "captioner"),
    "label": ("label_id",),
    "label_embedding": ("label_id", "backbone"),
    "synthetic_image": ("label_id", "generator", "ordinal"),
}
"""Tables that models share → the columns that name a row. A row by a name that is there already is not added again."""

OF_MODEL = tuple(name for name, schema in TABLES.items() if "model_id" in schema.names)
"""The tables whose every row belongs to one model."""
