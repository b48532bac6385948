"""Sections on where the numbers come from: data and models, and provenance."""

import importlib.metadata
import json
import platform
import shlex

import polars as pl

from .section import Section
from .study import Study

_PACKAGES = ("voxel-atlas", "numpy", "scipy", "torch", "polars", "duckdb", "umap-learn", "matplotlib", "pycortex")


def data_and_models(study: Study) -> Section:
    """What was fitted, dropped and split."""
    section = Section("models", "Data and models")
    rows, dropped = [], []
    for model in study.models:
        store, model_id = study.atlas.store, model.model_id
        reasons = store.frame("SELECT reason, count(*) AS n FROM dropped WHERE model_id = ? GROUP BY ALL", [model_id])
        dropped += [{"model_id": model_id, **row} for row in reasons.sort("reason").to_dicts()]
        labelled = store.frame("SELECT count(DISTINCT voxel) AS n FROM top_label WHERE model_id = ?", [model_id])
        config = model.settings
        rows.append(
            {
                "model_id": model_id,
                "subject_id": model.subject_id,
                "simulated": model.simulated,
                "dataset": model.dataset,
                "space": model.space,
                "backbone": model.backbone,
                "features": model.dim,
                "train_images": model.n_train,
                "test_images": model.n_test,
                "selection": config.get("selection", ""),
                "fitted_voxels": model.n_voxels,
                "dropped_voxels": model.n_dropped,
                "significant_voxels": model.n_significant,
                "labelled_voxels": int(labelled["n"][0]),
            }
        )
    models = pl.DataFrame(rows)
    section.tables["models"] = models
    turned = models.drop("model_id").transpose(
        include_header=True, header_name="", column_names=models["model_id"].to_list()
    )
    section.show("Models of this report. Significant: false discovery rate at most 0.05.", turned)
    if dropped:
        section.tables["dropped"] = pl.DataFrame(dropped)
        section.show("Voxels that were not fitted, by reason.", section.tables["dropped"])
    else:
        section.paragraphs.append("No voxel was dropped.")
    if simulated := [model.subject_id for model in study.models if model.simulated]:
        section.paragraphs.append(
            f"{', '.join(dict.fromkeys(simulated))}: simulated. The responses were computed from what is in the "
            "pictures and not measured; the figures show whether the machine finds what was planted, and say nothing "
            "of brains."
        )
    regions = study.members.group_by("subject_id", "roi").agg(pl.len().alias("n_voxels")).sort("subject_id", "roi")
    section.tables["voxel_roi"] = study.members
    if regions.is_empty():
        section.absent.append("The subjects have no regions of interest, so figures by region show all voxels as one.")
    else:
        by_subject = regions.pivot("subject_id", index="roi", values="n_voxels").sort("roi")
        section.show("Regions of interest and their voxels.", by_subject)
    return section


def provenance(study: Study, command: list[str]) -> Section:
    """Every setting, version and checksum, and the command that makes this report again."""
    section = Section("provenance", "Provenance")
    settings = []
    for model in study.models:
        config = model.settings
        settings += [
            {"model_id": model.model_id, "setting": name, "value": json.dumps(value)}
            for name, value in sorted(config.items())
        ]
        settings.append({"model_id": model.model_id, "setting": "config_sha256", "value": model.config_sha256})
    section.tables["settings"] = pl.DataFrame(settings)
    ids = [model.model_id for model in study.models]
    runs = study.atlas.runs().filter(pl.col("model_id").is_in(ids)).drop("config")
    section.tables["runs"] = runs
    ledger = study.atlas.store.frame("FROM stage_digest ORDER BY ALL")
    section.tables["ledger"] = ledger
    versions = pl.DataFrame(
        [
            {"program": "python", "version": platform.python_version()},
            *({"program": name, "version": importlib.metadata.version(name)} for name in _PACKAGES),
        ]
    )
    section.tables["versions"] = versions
    section.paragraphs.append("The command that makes this report again, on the same atlas:")
    section.paragraphs.append(f"$ {shlex.join(command)}")
    pivoted = section.tables["settings"].pivot("model_id", index="setting", values="value").sort("setting")
    section.show("Every setting of the models, and the hash of all of them.", pivoted)
    section.show("Runs that filled the atlas.", runs.with_columns(pl.selectors.datetime().dt.strftime("%F %T")))
    section.show(
        "Batches of the atlas by stage and model; digests are over the batches' own, in any order.",
        ledger,
    )
    section.show("Versions of the programs that wrote this report.", versions)
    return section
