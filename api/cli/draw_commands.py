"""What the command line draws: `flatmap`, and `surface import | nsd | transform` for subjects of one's own."""

from io import BytesIO
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from ...schemas.errors import BadInputError
from .console import FOR_PEOPLE, Output, say, waiting, warn
from .options import (
    BY_DEFAULT,
    COMPARISON,
    CONTENT,
    OUTPUT,
    PICTURE,
    VOXELS,
    ConceptOptions,
    FileOption,
    Switch,
    between,
    open_atlas,
    settings_of,
)

_LOOK = Parameter(group=PICTURE)
surfaces = App(
    name="surface", help="Bring cortical surfaces of your own into the pycortex store.", group_parameters=CONTENT
)


def flatmap(
    concept: str | None = None,
    /,
    *,
    out: FileOption,
    metric: str | None = None,
    label: str | None = None,
    picture: Path | None = None,
    label_colours: Switch = False,
    own: Annotated[list[Path] | None, Parameter(name="--map")] = None,
    surface: str | None = None,
    transform: str | None = None,
    options: ConceptOptions = BY_DEFAULT,
    view: Annotated[list[str] | None, _LOOK] = None,
    kind: Annotated[str, _LOOK] = "inflated",
    width: Annotated[int, between(64, 8192), _LOOK] = 1024,
    thick: Annotated[int, between(1, 128), _LOOK] = 1,
    colormap: Annotated[str | None, _LOOK] = None,
    limits: Annotated[tuple[float, float] | None, Parameter(name="--range", group=PICTURE)] = None,
    roi: Annotated[list[str] | None, _LOOK] = None,
    opacity: Annotated[str | None, _LOOK] = None,
    significant: Annotated[Switch, Parameter(group=VOXELS)] = False,
    null_band: Annotated[Switch, Parameter(group=VOXELS)] = False,
    output: Output = FOR_PEOPLE,
) -> None:
    """Draw the cortex: similarity to a concept, a metric, a label, labels in colours, or a map of your own.

    Args:
        concept: Text, for example "cake" or "cake - kitchen"; none: what one of the next options names.
        out: File to write: .png, .svg or .pdf.
        metric: Instead of a concept: r2, r, q, noise_ceiling, r2_of_ceiling, food_t or food_q. With a concept: z;
            none: its similarity.
        label: Instead of a concept: the probability of this label; none: of no label.
        picture: Instead of a concept: the response that is predicted to this image file; none: of no image.
        label_colours: Instead of a concept: first labels, coloured by meaning.
        own: Instead of a concept: your NIfTI or CIFTI file, or left and right GIFTI or MGH; none: no file.
        surface: Subject that --map is drawn on; none: the one of the atlas's model.
        transform: Its transform, where --map is a volume; none: the map is of a surface.
        view: Not flat but inflated, seen from here: lateral, medial, ventral, posterior, dorsal or anterior; can be
            given again; all: the first four; none: the flat map.
        kind: Surface that --view shows: inflated, pia, wm or fiducial.
        width: Width in pixels, 64 to 8192.
        thick: Show the mean over so many depths between white matter and pia, as pycortex's thick does; 1: half-way.
        colormap: matplotlib's name; none: chosen for the quantity.
        limits: Values of the first and the last colour; none: chosen for the quantity.
        roi: Outline only this ROI; can be given again; none: all.
        opacity: A metric, r2 for one: voxels are clear where it is 0; none: all are opaque.
        significant: Show only voxels whose encoding model is significant.
        null_band: Leave voxels bare in which the concept is as similar as nine in ten of many nouns are.
    """
    from ...schemas.image_files import read_picture
    from ...schemas.spaces import MNI152
    from ...viz.surfaces.surface import load_surface
    from ...viz.surfaces.user_maps import grid_of
    from ..maps.rendering import RenderOptions, render, user_picture
    from ..maps.subject_cortex import CortexCache, surfaces_cache
    from ..maps.top_labels import colour_map
    from ..maps.value_maps import MapRequest, left_out, value_map

    of_concept = concept and metric == "z"
    if sum(map(bool, (concept, None if of_concept else metric, label, picture, label_colours, own))) != 1:
        named = "CONCEPT, --metric, --label, --picture, --label-colours and --map"
        raise BadInputError(f"Give exactly one of {named} to draw.")
    if (label_colours or own) and (significant or opacity or null_band or options.of_concept):
        raise BadInputError(
            "--label-colours and --map show what they are given: leave out --significant, --opacity, and what is of a "
            "concept: --by, --readout, --baseline, --min-z, --max-q, --specific and --null-band."
        )
    if label_colours and thick != 1:
        raise BadInputError("Labels have no mean over depths; leave out --thick, or draw the probability of a --label.")
    drawing = RenderOptions(width, _suffix(out), tuple(roi) if roi else None, _views(view), kind, thick=thick)
    settings = settings_of(options.atlas)
    lo, hi = limits or (None, None)
    request = (
        None
        if own or label_colours
        else MapRequest(
            concept=concept,
            metric=metric,
            label=label,
            picture=read_picture(picture) if picture else None,
            model=options.model,
            colormap=colormap,
            lo=lo,
            hi=hi,
            null_band=null_band,
            significant=significant,
            alpha=opacity,
            **options.asked,
        )
    )
    if own and surface:
        grid = grid_of(own[0]) if transform == MNI152 else None
        with waiting("Drawing the cortex"):
            drawn_on = load_surface(surface, transform, surfaces_cache(settings.home), settings.cortex_filestore, grid)
            drawn = user_picture(own, drawn_on, colormap or "auto", lo, hi)
            file = render(drawn, drawn_on, drawing)
    else:
        with waiting("Drawing the cortex"), open_atlas(options.atlas) as opened:
            cortex = CortexCache(opened, settings).of(opened.model(options.model).subject_id)
            if own:
                drawn = user_picture(own, cortex.surface, colormap or "auto", lo, hi)
            elif label_colours:
                coloured = colour_map(opened, options.model, settings.home, semantic=not options.all_voxels)
                say(f"trustworthiness of the colours: {coloured.colours.trustworthiness:.3f}")
                if coloured.top.bare:
                    say(f"{left_out(coloured.top.bare)}; --all-voxels shows them")
                drawn = coloured.picture(cortex)
            elif request:
                mapped = value_map(opened, request)
                warn(mapped.warnings)
                drawn = mapped.picture(cortex)
            file = render(drawn, cortex.surface, drawing, cortex)
    output.write(out, file, width=width)


def group(
    concept: str,
    /,
    *models: str,
    out: FileOption | None = None,
    vertices: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    show: Annotated[Literal["mean", "t", "q", "agree"], _LOOK] = "mean",
    group_q: Annotated[float | None, _LOOK] = None,
    smooth: Annotated[float, Parameter(group=COMPARISON)] = 0.0,
    options: ConceptOptions = BY_DEFAULT,
    significant: Annotated[Switch, Parameter(group=VOXELS)] = False,
    view: Annotated[list[str] | None, _LOOK] = None,
    width: Annotated[int, between(64, 8192), _LOOK] = 1024,
    colormap: Annotated[str | None, _LOOK] = None,
    limits: Annotated[tuple[float, float] | None, Parameter(name="--range", group=PICTURE)] = None,
    roi: Annotated[list[str] | None, _LOOK] = None,
    output: Output = FOR_PEOPLE,
) -> None:
    """Map a concept over subjects on fsaverage or fs_LR: mean, t and q with subjects as the unit, and who agrees.

    Args:
        concept: Text, for example "cake" or "cake - kitchen".
        models: A model of each subject; none: its newest one of the newest model's network.
        out: Picture to write: .png, .svg or .pdf; none: no picture.
        vertices: Table of all vertices to write: .csv or .parquet; none: no table.
        show: What the picture shows: the mean similarity, its t, the q of that, or how many subjects agree: those whose
            similarity is above 0 and passes --min-z, --max-q and --specific.
        group_q: Draw only vertices with at most this false discovery rate over subjects; none: any.
        smooth: Smooth each subject's map along the cortex over so many mm (full width at half maximum).
        significant: Take only voxels whose encoding model is significant.
        view: As for flatmap; none: the flat map.
        width: Width in pixels, 64 to 8192.
        colormap: matplotlib's name; none: chosen for the quantity.
        limits: Values of the first and the last colour; none: chosen for the quantity.
        roi: Outline only this region; can be given again; none: all.
    """
    from ...schemas.config import FDR
    from ..maps.group.group_maps import GroupRequest, group_map
    from ..maps.rendering import RenderOptions, render
    from ..maps.subject_cortex import CortexCache

    if options.model is not None:
        raise BadInputError("A group has a model of each subject; give them behind the concept, without --model.")
    if vertices is not None and vertices.suffix not in (".csv", ".parquet"):
        raise BadInputError(f"{vertices}: a table of vertices is a .csv or a .parquet file.")
    drawing = RenderOptions(width, _suffix(out), tuple(roi) if roi else None, _views(view)) if out else None
    lo, hi = limits or (None, None)
    request = GroupRequest(
        concept=concept,
        models=models,
        significant=significant,
        smooth=smooth,
        show=show,
        group_q=group_q,
        colormap=colormap,
        lo=lo,
        hi=hi,
        **options.asked,
    )
    with waiting("Bringing the subjects' maps together"), open_atlas(options.atlas) as opened:
        cortices = CortexCache(opened, settings_of(options.atlas))
        found = group_map(opened, request, cortices)
        cortex = cortices.of(found.subject_id)
        file = render(found.picture(cortex), cortex.surface, drawing, cortex) if drawing else b""
    output.show(found.regions)
    warn(found.warnings)
    over, stamp = found.statistics, " (simulated)" if found.simulated else ""
    told = f"{len(found.models)} subjects{stamp} on {found.mesh}, {found.how}"
    say(f"{told}: {over.n_significant:,} of {over.n_tested:,} vertices at q ≤ {FDR}")
    each = ", ".join(f"{model.subject_id} {r:.2f}" for model, r in zip(found.models, found.leave_one_out, strict=True))
    say(f"the mean of the others tells each subject's map at r = {found.mean_leave_one_out:.2f}: {each}")
    # Said to people whoever reads the rows, which are the regions.
    if vertices is not None:
        table, bytes_of = found.frame(), BytesIO()
        table.write_csv(bytes_of) if vertices.suffix == ".csv" else table.write_parquet(bytes_of)
        FOR_PEOPLE.write(vertices, bytes_of.getvalue())
    if out is not None:
        FOR_PEOPLE.write(out, file)


def _suffix(picture: Path) -> str:
    return picture.suffix.lower().lstrip(".")


def _views(given: list[str] | None) -> tuple[str, ...] | None:
    """Sides that --view names: none for the flat map, () for the first four."""
    return None if not given else () if given == ["all"] else tuple(given)


@surfaces.command
def import_(name: str, /, *, freesurfer: Path | None = None, gifti: list[str] | None = None) -> None:
    """Take surfaces from FreeSurfer or GIFTI files into the store that VOXEL_ATLAS_CORTEX_FILESTORE names.

    Args:
        name: Name of the new subject.
        freesurfer: FreeSurfer subject: its surf folder has white, pial, inflated and, unless autoflatten is to make
            them, flat patches; none: --gifti is given.
        gifti: KIND=LEFT.surf.gii,RIGHT.surf.gii for each of wm, pia, inflated and flat; fs_LR for one; none:
            --freesurfer is given.
    """
    from ...viz.surfaces import surface_import
    from ..maps.subject_cortex import surfaces_cache

    if (freesurfer is None) == (not gifti):
        raise BadInputError("Give either --freesurfer FOLDER or --gifti KIND=LEFT,RIGHT to say what is imported.")
    store, cache = _store(), surfaces_cache(settings_of().home)
    if freesurfer:
        flat = _flat_map(freesurfer)
        with waiting("Taking the surfaces in"):
            made = surface_import.from_freesurfer(name, freesurfer, store, cache)
    else:
        with waiting("Taking the surfaces in"):
            made = surface_import.from_gifti(name, dict(_pair(text) for text in gifti or ()), store, cache)
        flat = "with a flat map" if (made / "surfaces" / "flat_lh.gii").exists() else "without a flat map"
    say(f"wrote {made}, {flat}")


@surfaces.command
def nsd(*, root: Path, subject: Annotated[int, between(1, 8)]) -> None:
    """Make an NSD subject of NSD's own surfaces and warps; ingests of NSD find it by themselves.

    Args:
        root: Folder of NSD.
        subject: Number of the subject, 1 to 8.
    """
    from ...viz.surfaces.nsd_warps import freesurfer_folder, from_nsd
    from ..maps.subject_cortex import surfaces_cache

    flat = _flat_map(freesurfer_folder(root, subject))
    with waiting("Taking NSD's surfaces and warps in"):
        made = from_nsd(root, subject, _store(), surfaces_cache(settings_of().home))
    names = ", ".join(sorted(path.name for path in (made / "transforms").iterdir() if path.is_dir()))
    say(f"wrote {made}, {flat}, with transforms {names}")


def _flat_map(freesurfer: Path) -> str:
    """What can be said of a FreeSurfer subject's flat map; that one is to be made is told at once, as it takes long."""
    from ...viz.flattening.autoflattened import reason_against
    from ...viz.surfaces.surface_import import flat_patches

    if flat_patches(freesurfer):
        return "with a flat map"
    if reason := reason_against(freesurfer):
        return f"without a flat map ({reason})"
    say("no flat patches are there: autoflatten cuts and flattens the hemispheres, which takes long")
    return "with a flat map by autoflatten"


@surfaces.command
def transform(
    subject: str,
    name: str,
    /,
    *,
    reference: Path,
    register: Path | None = None,
    anatomy: Path | None = None,
    matrix: Path | None = None,
) -> None:
    """Say where a functional volume lies on a subject's surfaces.

    Args:
        subject: Subject in your store.
        name: Name of the new transform.
        reference: A functional image (NIfTI) of the space that voxels are in.
        register: register.dat of FreeSurfer's bbregister, functional to anatomical; none: one of the next two is given.
        anatomy: FreeSurfer's mri/orig.mgz, where the affines of both images agree already; none: as above.
        matrix: Text file of 4 × 4 numbers: from mm on the surface to voxel indices x, y, z; none: as above.
    """
    import numpy as np

    from ...viz.surfaces import registration, surface_import

    folder = _store() / subject
    if not (folder / "surfaces").is_dir():
        raise BadInputError(f"There is no subject {subject!r} in {folder.parent}; import it first.")
    match register, anatomy, matrix:
        case Path(), None, None:
            to_voxels = registration.from_register(register, reference)
        case None, Path(), None:
            to_voxels = registration.from_headers(anatomy, reference)
        case None, None, Path():
            to_voxels = registration.read_matrix(matrix)
        case _:
            raise BadInputError("Give exactly one of --register, --anatomy and --matrix.")
    surface_import.write_transform(folder, name, to_voxels, reference)
    corner = ", ".join(f"{mm:.1f}" for mm in np.linalg.inv(to_voxels)[:3, 3])
    say(f"wrote transform {name} of {subject}; voxel 0, 0, 0 is at {corner} mm")


def _store() -> Path:
    store = settings_of().cortex_filestore
    if store is None:
        raise BadInputError(
            "Set VOXEL_ATLAS_CORTEX_FILESTORE to a folder for your own subjects, so that they are found again."
        )
    return store


def _pair(text: str) -> tuple[str, tuple[Path, Path]]:
    kind, _, files = text.partition("=")
    left, _, right = files.partition(",")
    if kind not in ("wm", "pia", "inflated", "flat") or not left or not right:
        raise BadInputError(f"--gifti {text}: write KIND=LEFT,RIGHT with KIND one of wm, pia, inflated and flat.")
    return kind, (Path(left), Path(right))
