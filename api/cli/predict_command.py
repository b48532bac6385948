"""`voxel-atlas predict`: what a model's voxels would answer to a new image."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from .options import AtlasOption, CsvOption, JsonOption, ModelOption, RoiOption, open_atlas, settings_of, style_of

screen, output = Console(stderr=True), Console()


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command()(predict)


def predict(
    image: Annotated[Path, typer.Argument(help="Image file: PNG, JPEG or whatever Pillow reads.")],
    model: ModelOption = None,
    roi: RoiOption = None,
    first: Annotated[
        int | None, typer.Option(min=1, help="How many voxels, the strongest first; none: 20 in a table, else all.")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="File of the backbone's weights; none: the library's own cache.")
    ] = None,
    json: JsonOption = False,
    csv: CsvOption = False,
    atlas: AtlasOption = "",
) -> None:
    """Predict every voxel's response to an image, in z-scored beta."""
    from ...atlas.backbones import load
    from ...atlas.search.concepts import TextTowers
    from ...ingest.datasets.image_files import read_picture
    from .console import show

    style, settings = style_of(json, csv), settings_of(atlas)
    pixels = read_picture(image)
    with open_atlas(atlas) as opened:
        loader = partial(load, weights=weights, device=settings.device)
        opened.text_towers = TextTowers(opened.store, settings.home, loader)
        owner = opened.model(model)
        frame = owner.predict(pixels, rois=tuple(roi or ()))
        strongest = frame.sort("response", "voxel", descending=[True, False])
        chosen = strongest.head(first or (20 if style == "table" else strongest.height))
        described = owner.voxels(chosen["voxel"].to_list())
    answers = chosen.join(described, on="voxel", maintain_order="left")
    show(output, answers.select("subject_id", "voxel", "rois", "response", "r2", "q"), style)
    note = " · [yellow]simulated subject[/yellow]" if owner.simulated else ""
    screen.print(f"{owner.model_id} · {frame.height:,} voxels{note}", highlight=False)
