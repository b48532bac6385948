"""`voxel-atlas query | contrast | predict | card | models | subjects | rois | sql`: questions to the atlas."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from ...schemas.errors import BadInputError
from .console import FOR_PEOPLE, Output, say, screen, waiting, warn
from .options import (
    BY_DEFAULT,
    COMPARISON,
    VOXELS,
    AllVoxels,
    AtlasOption,
    BaselineOption,
    ConceptOptions,
    FileOption,
    ModelArgument,
    ModelOption,
    ReadoutOption,
    RoiOption,
    Switch,
    WeightsOption,
    ask_atlas,
    between,
    open_atlas,
    open_store,
    settings_of,
)

if TYPE_CHECKING:
    import polars as pl

    from ...atlas.search.atlas import Atlas
    from ...atlas.search.contrasts.preference import Contrast

_IN_VOXELS = Parameter(group=VOXELS)
_PLACE = ("x_mm", "y_mm", "z_mm")
_SIMULATED = " · [yellow]simulated subject[/yellow]"


def query(
    concept: str,
    /,
    *,
    options: ConceptOptions = BY_DEFAULT,
    roi: RoiOption = None,
    first: Annotated[int, between(1, 100_000), _IN_VOXELS] = 20,
    significant: Annotated[bool, _IN_VOXELS] = True,
    min_r2: Annotated[float | None, _IN_VOXELS] = None,
    output: Output = FOR_PEOPLE,
) -> None:
    """Find the voxels most similar to a concept.

    Args:
        concept: Text, for example "cake" or "cake - kitchen".
        first: How many voxels, 1 to 100,000.
        significant: Only voxels whose encoding model is significant.
        min_r2: Only voxels that are predicted at least so well: share of variance, 1 at most; none: any.
    """
    import polars as pl

    with waiting("Comparing the concept with each voxel"), ask_atlas(options.atlas) as opened:
        owner = opened.model(options.model)
        hits = owner.similar(
            concept,
            rois=tuple(roi or ()),
            first=first,
            significant=significant,
            min_r2=min_r2,
            **options.asked,
        )
        labels = owner.voxel_labels(hits.frame["voxel"].to_list(), first=5)
    found = hits.frame
    if not output.for_people:
        with open_atlas(options.atlas) as opened:
            found = _placed(opened, found, owner.subject_id, options.atlas)
    named = labels.group_by("voxel", maintain_order=True).agg(pl.col("label").alias("labels"))
    frame = found.join(named, on="voxel", how="left", maintain_order="left")
    columns = ["subject_id", "voxel", "rois", "similarity", "z", "concept_q", "specific", "r2", "labels"]
    if options.all_voxels:
        columns.insert(3, "semantic")
    # One model's voxels: the line below names it to people.
    columns = columns[1:] if output.for_people else [*columns, "percentile", "q", *_PLACE]
    output.show(frame.select(columns))
    warn(hits.warnings)
    how = f"by weights, readout {hits.how}" if hits.by == "weights" else hits.how
    screen.print(f"{hits.model_id} · {how}{_SIMULATED if owner.simulated else ''}", soft_wrap=True)
    if hits.hidden:
        screen.print(
            f"{hits.hidden:,} that contrast and edges may explain are left out; --all-voxels shows them.",
            soft_wrap=True,
        )


def contrast(
    a: str,
    b: str,
    /,
    *,
    voxels: Switch = False,
    model: ModelOption = None,
    by: Annotated[Literal["weights", "labels"], Parameter(group=COMPARISON)] = "weights",
    readout: ReadoutOption = None,
    baseline: BaselineOption = "vocabulary",
    roi: RoiOption = None,
    first: Annotated[int, between(1), _IN_VOXELS] = 20,
    significant: Annotated[bool, _IN_VOXELS] = True,
    all_voxels: AllVoxels = False,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Tell which of two concepts voxels prefer: the share in each region with its 95 % interval, or voxel by voxel.

    Args:
        a: Text, for example "cake".
        b: What it is compared with: "face".
        by: Compare with the voxels' weights or with their labels.
        voxels: List voxels instead of regions, those that prefer A most first.
        first: How many voxels with --voxels.
        significant: Count only voxels whose encoding model is significant.
    """
    import polars as pl

    from ...atlas.search.atlas import Atlas
    from ...schemas.config import FDR
    from ..maps.subject_cortex import CortexCache

    with waiting("Comparing both concepts with each voxel"), ask_atlas(atlas) as opened:
        if isinstance(opened, Atlas):  # a server knows by itself where voxels lie, between which intervals are
            opened.located.told_by(CortexCache(opened, settings_of(atlas)).millimetres)
        owner = opened.model(model)
        ask = owner.contrast if voxels else owner.contrast_regions
        found: Contrast = ask(
            a, b, rois=tuple(roi or ()), significant=significant, semantic=not all_voxels, by=by, readout=readout,
            baseline=baseline,
        )  # fmt: skip
    frame = found.frame
    if voxels:
        frame = frame.sort("similarity", "voxel", descending=[True, False]).head(first)
    elif output.for_people:
        frame = frame.with_columns(pl.col("roi").fill_null("all voxels")).drop("n_blocks")
    output.show(frame if output.for_people else frame.select(pl.lit(owner.subject_id).alias("subject_id"), pl.all()))
    warn(found.warnings)
    screen.print(
        f"{found.model_id} · a: {found.a}, b: {found.b} · {found.how}{_SIMULATED if owner.simulated else ''}",
        soft_wrap=True,
    )
    if not voxels and output.for_people:
        say(f"share: of the voxels that prefer a; n_a, n_b: how many do so, and how many prefer b, at q ≤ {FDR}")


def predict(
    image: Path,
    /,
    *,
    model: ModelOption = None,
    roi: RoiOption = None,
    first: Annotated[Annotated[int, between(1)] | None, _IN_VOXELS] = None,
    weights: WeightsOption = None,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Predict every voxel's response to an image, in z-scored beta.

    Args:
        image: Image file: PNG, JPEG or whatever Pillow reads.
        first: How many voxels, the strongest first; none: 20 in a table, else all.
    """
    from ...atlas.backbones import load
    from ...atlas.search.atlas import Atlas
    from ...schemas.image_files import read_picture

    settings = settings_of(atlas)
    pixels = read_picture(image)
    loader = partial(load, weights=weights, device=settings.device)
    store = open_store(settings, read_only=True)
    with (
        waiting("Showing the image to the network"),
        Atlas(store, home=settings.home, load_backbone=loader) as opened,
    ):
        owner = opened.model(model)
        frame = owner.predict(pixels, rois=tuple(roi or ()))
        strongest = frame.sort("response", "voxel", descending=[True, False])
        chosen = strongest.head(first or (20 if output.for_people else strongest.height))
        described = owner.voxels(chosen["voxel"].to_list())
        if not output.for_people:
            described = _placed(opened, described, owner.subject_id, atlas)
    answers = chosen.join(described, on="voxel", maintain_order="left")
    subject, place = ((), ()) if output.for_people else (("subject_id",), _PLACE)
    output.show(answers.select(*subject, "voxel", "rois", "response", "r2", "q", *place))
    screen.print(f"{owner.model_id} · {frame.height:,} voxels{_SIMULATED if owner.simulated else ''}", soft_wrap=True)


def card(
    model: ModelArgument,
    voxel: Annotated[int, between(0)],
    /,
    *,
    out: FileOption | None = None,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """Show one voxel on one page: the images that drive it, their captions, its labels, and the settings.

    Args:
        voxel: Number of the voxel.
        out: File to write, .png or .html; none: print what is known.
    """
    import polars as pl

    from ...viz.render.card import card_png
    from ..maps.voxel_card import IMAGE_COLUMNS, LABEL_COLUMNS, UNSCORED_COLUMNS, card_html, card_row, voxel_card

    suffix = out.suffix.lower() if out else ""
    if out and suffix not in (".png", ".html"):
        raise BadInputError(f"{out.name}: a card is a .png or an .html file.")
    with waiting("Reading the voxel"), open_atlas(atlas) as opened:
        if out:
            page = voxel_card(opened, model, voxel)
            file = card_png(page) if suffix == ".png" else card_html(page).encode()
        else:
            row = _placed(opened, card_row(opened, model, voxel), opened.model(model).subject_id, atlas)
    if out:
        output.write(out, file)
    elif not output.for_people:
        output.show(row)
    else:
        output.show_lines(row.drop(*LABEL_COLUMNS, *IMAGE_COLUMNS, *UNSCORED_COLUMNS))
        for columns in (LABEL_COLUMNS, IMAGE_COLUMNS, UNSCORED_COLUMNS):
            told = row.select(columns).explode(columns).filter(~pl.all_horizontal(pl.all().is_null()))
            if "verified" in columns:
                told = told.with_columns(verified=pl.when("verified").then(pl.lit("✓")))
            if told.height:
                output.show(told)
            elif columns is LABEL_COLUMNS:
                say("No label is in the atlas for this voxel.")


def _placed(opened: "Atlas", voxels: "pl.DataFrame", subject_id: str, address: str) -> "pl.DataFrame":
    """Rows of voxels with their places in mm."""
    from ..maps.subject_cortex import CortexCache

    return CortexCache(opened, settings_of(address)).placed(voxels, subject_id)


def models(*, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """List the models, the newest finished one first: it is asked where no other is named."""
    with ask_atlas(atlas) as opened:
        frame = opened.models()
    output.show(frame.select("model_id", "simulated", "state", "backbone", "n_train", "n_voxels", "n_significant"))


def subjects(*, output: Output = FOR_PEOPLE, atlas: AtlasOption = "") -> None:
    """List the subjects: their data, their space and what shows them."""
    with ask_atlas(atlas) as opened:
        frame = opened.subjects()
    output.show(frame.select("subject_id", "simulated", "n_voxels", "space", "surface", "description"))


def rois(
    subject: Annotated[str | None, Parameter(help="Subject id; none: all subjects.")] = None,
    /,
    *,
    output: Output = FOR_PEOPLE,
    atlas: AtlasOption = "",
) -> None:
    """List the regions of subjects, and how many voxels each has."""
    with ask_atlas(atlas) as opened:
        frame = opened.rois(subject)
    output.show(frame.select("subject_id", "roi", "n_voxels"))


def sql(
    statement: str, /, *, files: list[Path] | None = None, output: Output = FOR_PEOPLE, atlas: AtlasOption = ""
) -> None:
    """Run SQL on the atlas, which it cannot change.

    Args:
        statement: One SQL statement that reads, for example "FROM roi_labels('FFA')".
        files: Folder or file that the statement may read besides the atlas; can be given again; none: no other.
    """
    with waiting("Running the statement"), open_atlas(atlas, files or ()) as opened:
        frame = opened.sql(statement)
    output.show(frame)
