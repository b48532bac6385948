"""Labels by number: the same word has the same number in every atlas, so atlases can be joined."""

import hashlib


def label_id(lemma: str) -> int:
    """The first 63 bits of the SHA-256 of a lemma: `label.label_id`, a positive BIGINT."""
    return int.from_bytes(hashlib.sha256(lemma.encode()).digest()[:8], "big") >> 1
