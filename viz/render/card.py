"""One voxel on one page, as a picture: what drives it, what that was called, and which labels describe it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from .lettering import fitted, font, one_line

WIDTH = 1240
_MARGIN, _GAP = 40, 20
_COLUMNS = 5
_TILE = (WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) // _COLUMNS
_CAPTION_LINES = 3
_METHODS_IN_A_ROW = 2
_INK, _GREY, _PALE, _BAR = (28, 30, 34), (98, 102, 110), (233, 235, 239), (0, 114, 178)
_TICK = (0, 122, 82)
_BADGE, _ON_BADGE = (255, 214, 64), (60, 44, 0)
_SMALL, _TEXT, _TITLE = 14, 16, 28
_COLUMN_ENDS = {"probability": 318, "score": 240, "stability": 168, "n": 132, "AUC": 84, "q": 0}
"""Names of a label's numbers → where they end, in pixels from the right."""
_VERIFIED_NOTE = (
    "Stability is the share of resamples of the labels' pictures in which a label comes first. ✓ holds on held-out "
    "responses: AUC of those to the n test images that show the label against the rest, q at most 0.05."
)


@dataclass(frozen=True, eq=False)
class Tile:
    """An image or a crop that drives the voxel."""

    picture: NDArray[np.uint8] | None
    """(h, w, 3) with the crop's frame drawn; None where the file is not at hand."""
    rank: int
    response: float
    """Predicted, in z-scored beta."""
    caption: str
    is_crop: bool
    seen: bool
    measured: float | None
    """Response to the whole image, in z-scored beta; None where it is not known."""

    @property
    def measurement(self) -> str:
        """What is said of the measured response."""
        if not self.seen:
            return "not seen"
        return "seen" if self.measured is None else f"measured {self.measured:+.2f} z".replace("-", "−")


@dataclass(frozen=True)
class RankedLabel:
    """A label with its score, and how it holds on held-out responses; None where that was not tested."""

    label: str
    score: float
    probability: float
    stability: float | None
    """Share of resamples of the labels' pictures in which it comes first."""
    n_images: int | None
    """Test images that show it."""
    auc: float | None
    label_q: float | None
    verified: bool | None

    @property
    def evidence(self) -> tuple[str, str, str, str]:
        """Stability, n, AUC and q as they are printed; empty where they are not known."""
        q = "" if self.label_q is None else "< 0.0001" if self.label_q < 1e-4 else f"{self.label_q:.2g}"
        return (
            "" if self.stability is None else f"{self.stability:.2f}",
            "" if self.n_images is None else str(self.n_images),
            "" if self.auc is None else f"{self.auc:.2f}",
            q,
        )


@dataclass(frozen=True)
class Ranking:
    """A voxel's labels by one method, the best first."""

    method: str
    labels: Sequence[RankedLabel]


@dataclass(frozen=True)
class Card:
    """What is known of a voxel."""

    title: str
    simulated: bool
    facts: Sequence[tuple[str, str]]
    """Name and value: model, regions, quality …"""
    tiles: Sequence[Tile]
    rankings: Sequence[Ranking]
    settings: Sequence[tuple[str, str]]
    """Name and value of every setting that the labels depend on."""
    unscored: Sequence[tuple[str, str]]
    """Why candidates have no score, and which."""
    unlabelled: str
    """What is said where there are no rankings."""

    @property
    def note(self) -> str:
        """What a tick means, where labels were held against responses."""
        tested = any(label.n_images is not None for ranking in self.rankings for label in ranking.labels)
        return _VERIFIED_NOTE if tested else ""


def card_png(card: Card) -> bytes:
    """Draw a card, 1,240 pixels wide and as tall as it needs to be."""
    sheet = _Sheet(_height(card))
    sheet.heading(card)
    sheet.tiles(card.tiles)
    sheet.rankings(card.rankings, card.unlabelled)
    if card.note:
        sheet.wrapped(card.note, _SMALL, _GREY)
    for reason, labels in card.unscored:
        sheet.wrapped(f"Not scored ({reason}): {labels}", _SMALL, _GREY)
    sheet.wrapped("Settings: " + " · ".join(f"{name} {value}" for name, value in card.settings), _SMALL, _GREY)
    encoded = io.BytesIO()
    sheet.image.crop((0, 0, WIDTH, sheet.y + _MARGIN)).save(encoded, "PNG", optimize=True)
    return encoded.getvalue()


def _height(card: Card) -> int:
    """At least as many pixels as the card needs."""
    n_rows = -(-len(card.tiles) // _COLUMNS)
    n_labels = sum(len(ranking.labels) + 3 for ranking in card.rankings)
    n_lines = (
        sum(len(name) + len(value) + 3 for name, value in (*card.settings, *card.facts, *card.unscored)) // 60 + 10
    )
    return 300 + n_rows * (_TILE + 110) + n_labels * 26 + n_lines * 24


class _Sheet:
    """A page that is written from top to bottom; `y` is where the next thing goes."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH, height), "white")
        self.y = _MARGIN
        self._draw = ImageDraw.Draw(self.image)

    def heading(self, card: Card) -> None:
        room = WIDTH - 2 * _MARGIN - (240 if card.simulated else 0)
        self._text(_MARGIN, self.y, card.title, _TITLE, _INK, room=room, bold=True)
        if card.simulated:
            left = WIDTH - _MARGIN - 220
            self._draw.rounded_rectangle((left, self.y, WIDTH - _MARGIN, self.y + 34), 8, _BADGE)
            self._draw.text((left + 110, self.y + 17), "SIMULATED SUBJECT", _ON_BADGE, font(_TEXT), "mm")
        self.y += 48
        self.wrapped(" · ".join(f"{name} {value}".strip() for name, value in card.facts), _TEXT, _GREY)
        self.y += 8

    def tiles(self, tiles: Sequence[Tile]) -> None:
        self._title("What drives it most")
        if not tiles:
            self.wrapped("No images are in the atlas for this voxel.", _TEXT, _GREY)
        for start in range(0, len(tiles), _COLUMNS):
            bottom = self.y
            for place, tile in enumerate(tiles[start : start + _COLUMNS]):
                bottom = max(bottom, self._tile(tile, _MARGIN + place * (_TILE + _GAP)))
            self.y = bottom + _GAP

    def rankings(self, rankings: Sequence[Ranking], unlabelled: str) -> None:
        self._title("What describes it")
        if not rankings:
            self.wrapped(unlabelled, _TEXT, _GREY)
        width = (WIDTH - 2 * _MARGIN - (_METHODS_IN_A_ROW - 1) * 2 * _GAP) // _METHODS_IN_A_ROW
        for start in range(0, len(rankings), _METHODS_IN_A_ROW):
            bottom = self.y
            for place, ranking in enumerate(rankings[start : start + _METHODS_IN_A_ROW]):
                bottom = max(bottom, self._ranking(ranking, _MARGIN + place * (width + 2 * _GAP), width))
            self.y = bottom + _GAP

    def wrapped(self, text: str, size: int, colour: tuple[int, int, int]) -> None:
        """Text over as many lines as it takes."""
        for line in _lines(text, size, WIDTH - 2 * _MARGIN):
            self._text(_MARGIN, self.y, line, size, colour)
            self.y += round(size * 1.45)

    def _title(self, text: str) -> None:
        self._text(_MARGIN, self.y, text, 19, _INK, bold=True)
        self.y += 34

    def _tile(self, tile: Tile, left: int) -> int:
        """Draw one image with its words; gives where it ends."""
        top = self.y
        self._draw.rectangle((left, top, left + _TILE - 1, top + _TILE - 1), _PALE)
        if tile.picture is None:
            self._draw.text(
                (left + _TILE / 2, top + _TILE / 2), "not on this machine", _GREY, font(_SMALL, False), "mm"
            )
        else:
            picture = Image.fromarray(tile.picture)
            scale = _TILE / max(picture.size)
            picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
            self.image.paste(picture, (left + (_TILE - picture.width) // 2, top + (_TILE - picture.height) // 2))
        y = top + _TILE + 8
        kind = "crop" if tile.is_crop else "image"
        self._text(left, y, f"{tile.rank}  {kind}  {tile.response:+.2f} z", _SMALL, _INK, bold=True)
        y += round(_SMALL * 1.4)
        self._text(left, y, tile.measurement, _SMALL, _GREY)
        y += 20
        for line in _lines(tile.caption or "no caption", _SMALL, _TILE, _CAPTION_LINES):
            self._text(left, y, line, _SMALL, _GREY)
            y += 19
        return y

    def _ranking(self, ranking: Ranking, left: int, width: int) -> int:
        """Draw one method's labels with bars of probability; gives where they end."""
        y = self.y
        self._text(left, y, ranking.method, _TEXT, _INK, room=width, bold=True)
        ends = {name: left + width - end for name, end in _COLUMN_ENDS.items()}
        for name, end in ends.items():
            self._draw.text((end, y), name, _GREY, font(_SMALL, False), "ra")
        y += 28
        most = max((label.probability for label in ranking.labels), default=1.0) or 1.0
        for label in ranking.labels:
            length = round((width - 1) * label.probability / most)
            self._draw.rectangle((left, y + 19, left + width - 1, y + 21), _PALE)
            self._draw.rectangle((left, y + 19, left + length, y + 21), _BAR)
            if label.verified:
                self._text(left, y, "✓", _TEXT, _TICK, bold=True)
            self._text(left + 20, y, label.label, _TEXT, _INK, room=width - 408)
            # Of more digits than the column has room for, the exponent would not be read either.
            score = (f"{label.score:.0f}" if abs(label.score) >= 1000 else f"{label.score:.4g}").replace("-", "−")
            for end, number in zip(ends.values(), (f"{label.probability:.3f}", score, *label.evidence), strict=True):
                self._draw.text(
                    (end, y), number, _GREY if end > ends["probability"] else _INK, font(_TEXT, False), "ra"
                )
            y += 26
        return y

    def _text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        colour: tuple[int, int, int],
        *,
        room: float = np.inf,
        bold: bool = False,
    ) -> None:
        self._draw.text((x, y), fitted(text, size, room, bold=bold), colour, font(size, bold))


def _lines(text: str, size: int, room: float, most: int | None = None) -> list[str]:
    """The text in lines that fit; where there are more than `most`, the last ends in an ellipsis."""
    face, lines = font(size, False), [""]
    for word in one_line(text).split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and face.getlength(longer) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    if most is not None and len(lines) > most:
        lines = [*lines[: most - 1], " ".join(lines[most - 1 :])]
    return [fitted(line, size, room) for line in lines]
