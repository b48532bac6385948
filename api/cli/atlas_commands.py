"""What the command line does with whole atlases: `export | import | verify`, and `runs | rm | vacuum | upgrade`."""

import secrets
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...schemas.errors import BadInputError, redacted
from .console import FOR_PEOPLE, Bars, Output, say, screen, waiting
from .options import AtlasOption, BaselineOption, FileOption, ReadoutOption, Switch, open_atlas, open_store, settings_of


def export(
    *,
    out: FileOption,
    model: list[str] | None = None,
    concept: list[str] | None = None,
    readout: ReadoutOption = None,
    baseline: BaselineOption = "vocabulary",
    tables_only: Switch = False,
    fsaverage: Switch = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Write a release: Parquet tables, NIfTI / GIFTI / CIFTI maps, a data dictionary, checksums and a citation.

    Args:
        out: Folder to make.
        model: Model id; can be given again; none: all that are finished.
        concept: Text to make a map of; can be given again; none: no map of a concept.
        tables_only: Make no maps.
        fsaverage: Write maps of NSD's volumes on fsaverage, too, by the warps that `surface nsd` found.
    """
    from ...atlas.release.export import export as write
    from ...viz.surfaces.nsd_warps import on_fsaverage
    from ..maps.subject_cortex import CortexCache, anatomical_affine

    if tables_only and fsaverage:
        raise BadInputError("--fsaverage is of maps, and --tables-only makes none; give one of the two.")
    settings = settings_of(atlas)
    with waiting("Writing the release"), open_atlas(atlas) as opened:
        cortices = CortexCache(opened, settings)
        write(
            opened,
            out,
            models=tuple(model or ()),
            concepts=tuple(concept or ()),
            readout=readout,
            baseline=baseline,
            tables_only=tables_only,
            affine_of=partial(anatomical_affine, settings),
            fsaverage_of=(
                (lambda subject: partial(on_fsaverage, surface=cortices.of(subject["subject_id"]).surface))
                if fsaverage
                else None
            ),
        )
    output.report(f"wrote {out}", {"folder": str(out)})


def publish(
    *models: str,
    out: FileOption,
    concept: list[str] | None = None,
    vocabulary: bool = True,
    own_pictures: Annotated[bool, Parameter(negative=())] = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Write the explorer as static files for a paper's supplement: it needs no server, and opens from a folder.

    Args:
        models: Models to publish; none: each subject's newest finished one.
        out: Folder to make.
        concept: A further concept, beside the labels of voxels; can be given again; none: no further one.
        vocabulary: Publish the maps of the vocabulary's nouns, too.
        own_pictures: Publish images of studies in folders of your own, too, where all of them may be: not NSD's.
    """
    from pydantic import SecretStr

    from ..http.app import create_app
    from ..site.publish import publish as write_site

    # A server that is asked within this process only.
    token = secrets.token_hex(16)
    within = {"rate_limit": "", "host": "127.0.0.1", "token": SecretStr(token)}
    with open_atlas(atlas) as opened, Bars() as bars:
        app = create_app(opened, settings_of(atlas).model_copy(update=within))
        made = write_site(
            opened,
            app,
            out,
            token=token,
            models=models,
            concepts=concept or (),
            vocabulary=vocabulary,
            own_pictures=own_pictures,
            progress=bars,
        )
    size = sum(path.stat().st_size for path in made.rglob("*") if path.is_file()) / 1e6
    output.report(f"wrote {made}, {size:.1f} MB; open {made / 'index.html'}", {"folder": str(made), "mb": size})


def import_(folder: Path, /, *, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """Bring a release's models into the atlas; what was brought before is not brought again.

    Args:
        folder: A release, as `voxel-atlas export` writes it.
    """
    from ...atlas.release.importing import import_release

    with waiting("Checking the release and taking it in"), open_store(settings_of(atlas), create=True) as store:
        models = import_release(store, folder, run_id=_run_id())
    said = [f"imported {name}" for name in models] or ["nothing to do: every model of this release was imported before"]
    output.report_each(said, [{"model_id": name} for name in models])


def verify(folder: Path, /, *, output: Output = FOR_PEOPLE) -> None:
    """Check a release's checksums and tables; one sentence for each problem, and status 2 when there is one.

    Args:
        folder: A release.
    """
    from ...atlas.release.verify import problems

    with waiting("Checking the release"):
        wrong = problems(folder)
    output.report_each(wrong or [f"{folder} is whole"], [{"problem": problem} for problem in wrong])
    if wrong:
        raise SystemExit(2)


def runs(
    *,
    digests: Annotated[bool, Parameter(negative=())] = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """List every ingest, the latest first: its model, its state, when it began and why it ended.

    Args:
        digests: What each stage has committed instead, in one digest a stage, to compare two atlases by.
    """
    with waiting("Reading the atlas"), open_atlas(atlas) as opened:
        if digests:
            output.show(opened.store.frame("FROM stage_digest ORDER BY ALL"))
            return
        frame = opened.runs()
    output.show(frame.select("run_id", "model_id", "state", "started_at", "recorded_at", "code_version", "message"))


def rm(
    model: str,
    /,
    *,
    yes: Annotated[bool, Parameter(name=("--yes", "-y"), negative=())] = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Remove a model from the atlas; its subject, images and labels stay. `vacuum` gives the space back.

    Args:
        model: The whole model id.
        yes: Do not ask.
    """
    from ...atlas.search.tables.indexed_voxels import index_folder
    from ...atlas.store.maintenance import remove_model, require_model

    settings = settings_of(atlas)
    if not yes:
        with open_store(settings, read_only=True) as store:
            require_model(store, model)
        if not _confirmed(f"Remove {model} from {redacted(settings.address)}?"):
            say("Nothing was removed.")
            raise SystemExit(1)
    with waiting("Removing the model's rows"):
        n_rows = remove_model(settings.address, model)
    # Who has it mapped keeps what it reads.
    shutil.rmtree(index_folder(settings.home, settings.address, model), ignore_errors=True)
    output.report(f"removed {model}: {n_rows:,} rows", {"model_id": model, "rows": n_rows})


def vacuum(*, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """Give back the space of removed rows: of a file, which is written anew, or of a lake. Not while it is served."""
    from ...atlas.store.maintenance import vacuum as write_anew

    settings = settings_of(atlas)
    with waiting("Writing the atlas anew"):
        before, after = write_anew(settings.address, memory_limit=settings.memory_limit)
    sentence = f"{before / 1e6:,.1f} MB before, {after / 1e6:,.1f} MB now"
    output.report(sentence, {"bytes_before": before, "bytes_after": after})


def upgrade(*, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """Bring an older atlas file to the format of this version, and its models to what their stored weights give."""
    from ...atlas.store.maintenance import upgrade as bring
    from ...ingest.upgrade_concepts import upgrade_concepts

    settings = settings_of(atlas)
    with waiting("Bringing the atlas to this version's format"):
        old, new = bring(settings.address)
    with waiting("Working out what models of before have not"), open_store(settings) as store:
        for sentence in upgrade_concepts(store, settings.home, _run_id()):
            say(sentence)
    text = f"upgraded from format {old} to {new}" if old != new else f"nothing to do: the format is {new} already"
    output.report(text, {"format_before": old, "format_now": new})


def _run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"


def _confirmed(question: str) -> bool:
    from rich.prompt import Confirm

    try:
        return Confirm.ask(question, console=screen, default=False)
    except (EOFError, RuntimeError):  # nobody is there to answer, or no terminal at all
        return False
