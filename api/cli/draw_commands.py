"""What the command line draws: `flatmap`, and `surface import | transform` for subjects of one's own."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ...schemas.config import Settings
from ...schemas.errors import BadInputError, StoreError
from .options import AtlasOption, ByOption, CsvOption, JsonOption, ModelOption, open_atlas, settings_of, style_of

screen, output = Console(stderr=True), Console()
surfaces = typer.Typer(help="Bring cortical surfaces of your own into the pycortex store.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add these commands to the command line."""
    app.command()(flatmap)
    app.add_typer(surfaces, name="surface")


def flatmap(
    out: Annotated[Path, typer.Option("-o", "--output", help="File to write: .png, .svg or .pdf.")],
    concept: Annotated[str | None, typer.Argument(help='Text, for example "cake" or "cake - kitchen".')] = None,
    metric: Annotated[
        str | None, typer.Option(help="Instead of a concept: r2, r, q, noise_ceiling or r2_of_ceiling.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Instead of a concept: the probability of this label.")] = None,
    label_colours: Annotated[
        bool, typer.Option("--label-colours", help="Instead of a concept: first labels, coloured by meaning.")
    ] = False,
    own: Annotated[
        list[Path] | None,
        typer.Option("--map", help="Instead of a concept: your NIfTI or CIFTI file, or left and right GIFTI or MGH."),
    ] = None,
    surface: Annotated[
        str | None, typer.Option(help="Subject that --map is drawn on; none: the one of the atlas's model.")
    ] = None,
    transform: Annotated[str | None, typer.Option(help="Its transform, where --map is a volume.")] = None,
    model: ModelOption = None,
    by: ByOption = "weights",
    view: Annotated[
        list[str] | None,
        typer.Option(
            help="Not flat but inflated, seen from here: lateral, medial, ventral, posterior, dorsal or anterior; can "
            "be given again; all: the first four."
        ),
    ] = None,
    kind: Annotated[str, typer.Option(help="Surface that --view shows: inflated, pia, wm or fiducial.")] = "inflated",
    width: Annotated[int, typer.Option(min=64, max=8192, help="Width in pixels.")] = 1024,
    colormap: Annotated[str | None, typer.Option(help="matplotlib's name; none: chosen for the quantity.")] = None,
    limits: Annotated[
        tuple[float, float] | None, typer.Option("--range", help="Values of the first and the last colour.")
    ] = None,
    roi: Annotated[list[str] | None, typer.Option(help="Outline only this ROI; can be given again.")] = None,
    opacity: Annotated[str | None, typer.Option(help="A metric, r2 for one: voxels are clear where it is 0.")] = None,
    significant: Annotated[bool, typer.Option("--significant", help="Show only significant voxels.")] = False,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Draw the cortex: similarity to a concept, a metric, a label, labels in colours, or a map of your own."""
    from ...viz.surfaces.surface import load_surface
    from ..maps.cortex_places import SURFACES, Places
    from ..maps.drawing import Look, draw, on_cells, own_map
    from ..maps.top_labels import colour_map
    from ..maps.value_maps import MapRequest, value_map
    from .console import report

    asked = [thing for thing in (concept, metric, label, label_colours or None, own) if thing]
    if len(asked) != 1:
        raise BadInputError("Give exactly one of CONCEPT, --metric, --label, --label-colours and --map to draw.")
    look = Look(width, out.suffix.lower().lstrip("."), tuple(roi) if roi else None, _views(view), kind)
    style, settings = style_of(json, csv), settings_of(atlas)
    lo, hi = limits or (None, None)
    if own and surface:
        drawn_on = load_surface(surface, transform, settings.home / SURFACES, settings.cortex_filestore)
        picture = draw(own_map(own, drawn_on, colormap or "auto", lo, hi), drawn_on, look)
    else:
        with open_atlas(atlas) as opened:
            place = Places(opened, settings).of_model(model)
            if own:
                cells = own_map(own, place.surface, colormap or "auto", lo, hi)
            elif label_colours:
                coloured = colour_map(opened, model, settings.home)
                trust = coloured.colours.trustworthiness
                screen.print(f"trustworthiness of the colours: {trust:.3f}", highlight=False)
                cells = on_cells(coloured, place)
            else:
                request = MapRequest(
                    concept, metric, label, model, by.lower(), None, colormap, lo, hi, significant, opacity
                )
                cells = on_cells(value_map(opened, request), place)
            picture = draw(cells, place.surface, look, place)
    try:
        out.write_bytes(picture)
    except OSError as error:
        raise StoreError(f"{out} cannot be written: {error.strerror}.") from error
    report(screen, output, f"wrote {out}", {"file": str(out), "width": width, "bytes": len(picture)}, style)


@surfaces.command("import")
def import_(
    name: Annotated[str, typer.Argument(help="Name of the new subject.")],
    freesurfer: Annotated[
        Path | None,
        typer.Option(help="FreeSurfer subject: its surf folder has white, pial, inflated and flat patches."),
    ] = None,
    gifti: Annotated[
        list[str] | None,
        typer.Option(help="KIND=LEFT.surf.gii,RIGHT.surf.gii for each of wm, pia, inflated and flat; fs_LR for one."),
    ] = None,
) -> None:
    """Take surfaces from FreeSurfer or GIFTI files into the store that VOXEL_ATLAS_CORTEX_FILESTORE names."""
    from ...viz.surfaces import surface_import as importing
    from ..maps.cortex_places import SURFACES

    if (freesurfer is None) == (not gifti):
        raise BadInputError("Give either --freesurfer FOLDER or --gifti KIND=LEFT,RIGHT to say what is imported.")
    settings = Settings()
    store, cache = _store(settings), settings.home / SURFACES
    if freesurfer:
        made = importing.from_freesurfer(name, freesurfer, store, cache)
    else:
        made = importing.from_gifti(name, dict(_pair(text) for text in gifti or ()), store, cache)
    flat = "with a flat map" if (made / "surfaces" / "flat_lh.gii").exists() else "without a flat map"
    screen.print(f"wrote {made}, {flat}", highlight=False, soft_wrap=True)


@surfaces.command("transform")
def add_transform(
    subject: Annotated[str, typer.Argument(help="Subject in your store.")],
    name: Annotated[str, typer.Argument(help="Name of the new transform.")],
    reference: Annotated[Path, typer.Option(help="A functional image (NIfTI) of the space that voxels are in.")],
    register: Annotated[
        Path | None, typer.Option(help="register.dat of FreeSurfer's bbregister, functional to anatomical.")
    ] = None,
    anatomy: Annotated[
        Path | None, typer.Option(help="FreeSurfer's mri/orig.mgz, where the affines of both images agree already.")
    ] = None,
    matrix: Annotated[
        Path | None, typer.Option(help="Text file of 4 × 4 numbers: from mm on the surface to voxel indices x, y, z.")
    ] = None,
) -> None:
    """Say where a functional volume lies on a subject's surfaces."""
    import numpy as np

    from ...viz.surfaces import registration
    from ...viz.surfaces import surface_import as importing

    settings = Settings()
    folder = _store(settings) / subject
    if not (folder / "surfaces").is_dir():
        raise BadInputError(f"There is no subject {subject!r} in {folder.parent}; import it first.")
    match register, anatomy, matrix:
        case Path(), None, None:
            found = registration.from_register(register, reference)
        case None, Path(), None:
            found = registration.from_headers(anatomy, reference)
        case None, None, Path():
            found = registration.read_matrix(matrix)
        case _:
            raise BadInputError("Give exactly one of --register, --anatomy and --matrix.")
    importing.write_transform(folder, name, found, reference)
    corner = np.linalg.inv(found)[:3, 3]
    screen.print(
        f"wrote transform {name} of {subject}; voxel 0, 0, 0 is at {', '.join(f'{mm:.1f}' for mm in corner)} mm",
        highlight=False,
    )


def _views(given: list[str] | None) -> tuple[str, ...] | None:
    if not given:
        return None
    return () if given == ["all"] else tuple(given)


def _store(settings: Settings) -> Path:
    if settings.cortex_filestore is None:
        raise BadInputError(
            "Set VOXEL_ATLAS_CORTEX_FILESTORE to a folder for your own subjects, so that they are found again."
        )
    return settings.cortex_filestore


def _pair(text: str) -> tuple[str, tuple[Path, Path]]:
    kind, _, files = text.partition("=")
    left, _, right = files.partition(",")
    if kind not in ("wm", "pia", "inflated", "flat") or not left or not right:
        raise BadInputError(f"--gifti {text}: write KIND=LEFT,RIGHT with KIND one of wm, pia, inflated and flat.")
    return kind, (Path(left), Path(right))
