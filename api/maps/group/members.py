"""Who is in a group: a model of each subject whose cortex meets the others'."""

from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from ....atlas.search.across import check_comparable
from ....atlas.search.atlas import Atlas
from ....atlas.search.model import Model
from ....schemas.errors import BadInputError, NotFoundError, SpaceMismatchError
from ..shared_space import SharedSpace, shared_space
from ..subject_cortex import CortexCache, SubjectCortex


class Member(NamedTuple):
    """A subject of a group."""

    model: Model
    cortex: SubjectCortex
    space: SharedSpace


def find_members(atlas: Atlas, cortices: CortexCache, names: Sequence[str], by: str) -> tuple[list[Member], list[str]]:
    """The subjects of a group by name, and a sentence for each that is left out since it meets no others.

    Args:
        atlas: the open atlas.
        cortices: where subjects' surfaces are kept.
        names: a model of each; none: each subject's newest finished one of the newest model's network.
        by: weights or labels, whose similarities have to be comparable.

    Raises:
        BadInputError: one subject, two models of one, or models that are not comparable.
        SpaceMismatchError: a model that was named meets no other one; the message names the files that would help.
        NotFoundError: no such model.
    """
    named = [atlas.model(name) for name in names]
    models = {model.subject_id: model for model in named or reversed(_newest(atlas, by))}
    if named and len(models) < len(named):
        raise BadInputError("Subjects are the unit of a group: name one model of each, not two of one.")
    check_comparable(list(models.values()), by)
    members, left_out = list[Member](), list[str]()
    for subject_id, model in sorted(models.items()):
        try:
            cortex = cortices.of(subject_id)
            members.append(Member(model, cortex, shared_space(cortex.surface)))
        except (NotFoundError, SpaceMismatchError) as error:
            if named:
                raise SpaceMismatchError(f"{subject_id} meets no other subject: {error}") from None
            left_out.append(f"{subject_id} is left out: {error}")
    families = [member.space.family for member in members]
    chosen = max(sorted(set(families)), key=families.count, default="fsaverage")
    others = [member for member in members if member.space.family != chosen]
    if others:
        apart = f"{others[0].model.subject_id} lies on {others[0].space.family}, and others on {chosen}"
        if named:
            raise SpaceMismatchError(f"{apart}, which do not meet; name models of subjects on one of them.")
        left_out.append(f"{apart}: {len(others)} of {len(members)} subjects are left out.")
    members = [member for member in members if member.space.family == chosen]
    if len(members) < 2:
        found = members[0].model.subject_id if members else "none"
        raise BadInputError(
            f"A group takes two subjects or more that meet on fsaverage or fs_LR, and there is {found}. "
            + " ".join(left_out[:1] or ["Ingest another subject with the same backbone."])
        )
    return members, left_out


def _newest(atlas: Atlas, by: str) -> list[Model]:
    """The finished models of the newest one's network, newest first."""
    newest = atlas.model()
    finished = [atlas.model(name) for name in atlas.models().filter(pl.col("finished"))["model_id"]] or [newest]
    space = "label_backbone" if by == "labels" else "backbone"
    return [model for model in finished if getattr(model, space) == getattr(newest, space)]
