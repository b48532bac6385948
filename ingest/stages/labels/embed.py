"""Stages `concepts` and `embed`: the words that are labels, and their text vectors."""

from collections.abc import Iterable, Sequence

import pyarrow as pa

from ....atlas.backbones.interface import Backbone
from ....schemas.errors import BadInputError
from ....schemas.stage import Stage
from ....schemas.tables import label_id
from ..context import Context, grouped, hash_of
from ..voxel_batches import list_column


def append_labels(context: Context, names: Iterable[str]) -> None:
    """Append those names that are no labels yet."""
    known = set(context.store.arrow("SELECT lemma FROM label")["lemma"].to_pylist())
    if new := [name for name in dict.fromkeys(names) if name not in known]:
        batch = pa.table({"label_id": [label_id(name) for name in new], "lemma": new})
        context.append({"label": batch}, Stage.CONCEPTS, hash_of(repr(new).encode()))


def embed_labels(context: Context, names: Sequence[str], text_tower: Backbone) -> None:
    """Append the text vectors of labels that have none of this tower yet.

    Raises:
        BadInputError: the labels that have one have vectors of another length.
    """
    sql = (
        "SELECT l.lemma, len(e.vector) AS dim FROM label_embedding e JOIN label l USING (label_id) WHERE e.backbone = ?"
    )
    known: dict[str, int] = dict(context.store.frame(sql, [text_tower.name]).iter_rows())
    if other := set(known.values()) - {text_tower.dim}:
        raise BadInputError(
            f"The atlas holds labels in {other.pop()} dimensions by {text_tower.name}, and this one has "
            f"{text_tower.dim}: it is another network of that name; use the one that the atlas was made with."
        )
    new = [name for name in names if name not in known]
    with context.progress.stage("embed labels", len(new)) as advance:
        for group in grouped(new, 256):
            batch = {
                "label_id": [label_id(name) for name in group],
                "backbone": [text_tower.name] * len(group),
                "vector": list_column(text_tower.text(group)),
            }
            key = f"{text_tower.name}/{hash_of(repr(group).encode())}"
            context.append({"label_embedding": pa.table(batch)}, Stage.EMBED, key)
            advance(len(group))
