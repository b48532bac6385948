"""Keyset cursors: a place in a ranking that stays right while rows are added.

A cursor holds the score and the number of the last row, the model and the generation that it was ranked at, and a
fingerprint of the question. A new row sorts before or after that place; it never shifts it, as an offset would.
"""

import base64
import hashlib
import json
import math
from dataclasses import dataclass

from ...schemas.errors import BadInputError
from ...schemas.limits import LIMITS


@dataclass(frozen=True)
class Cursor:
    """A place in the ranking that answers one question."""

    score: float
    key: int
    model_id: str
    generation: int
    question: str

    def encode(self) -> str:
        """An opaque text; `float.hex` keeps every bit of the score."""
        parts = [float(self.score).hex(), self.key, self.model_id, self.generation, self.question]
        return base64.urlsafe_b64encode(json.dumps(parts, separators=(",", ":")).encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str, question: str) -> "Cursor":
        """Read a cursor back.

        Raises:
            BadInputError: it is not a cursor, or it belongs to another question.
        """
        try:
            padded = text.encode("ascii") + b"=" * (-len(text) % 4)
            score, key, model_id, generation, asked = json.loads(base64.urlsafe_b64decode(padded))
            cursor = cls(float.fromhex(score), int(key), str(model_id), int(generation), str(asked))
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise BadInputError("`after` is not a cursor; pass a pageInfo.endCursor unchanged.") from None
        if math.isnan(cursor.score) or not 0 <= cursor.key < 2**63 or not 0 <= cursor.generation < 2**63:
            raise BadInputError("`after` is not a cursor; pass a pageInfo.endCursor unchanged.")
        if cursor.question != question:
            raise BadInputError("`after` belongs to another query; start that one again without `after`.")
        return cursor


def question(*parts: object) -> str:
    """A short fingerprint of what was asked, so that a cursor is not used with another query."""
    return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:12]


def page_size(first: int) -> int:
    """`first`, checked.

    Raises:
        BadInputError: it is not between 1 and 100.
    """
    if not 1 <= first <= LIMITS.first:
        raise BadInputError(f"first is {first}; take 1 to {LIMITS.first}, and `after` for the next page.")
    return first
