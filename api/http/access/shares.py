"""What a request holds of the memory that all of one token's may hold, or of an address's without one."""

from collections import Counter

from ....schemas.limits import LIMITS


class Share:
    """What a request holds of the memory that all of its client's may hold."""

    def __init__(self, held: Counter[str], client: str) -> None:
        self._held, self._client, self._own = held, client, 0

    def takes(self, n_bytes: int) -> bool:
        """Hold more, if there is room for it; what is small is not counted, so that questions always come in."""
        if n_bytes <= LIMITS.message_bytes:
            return True
        if self._held[self._client] - self._own + n_bytes > LIMITS.held_bytes:
            return False
        self._held[self._client] += n_bytes - self._own
        self._own = n_bytes
        return True

    def give_back(self) -> None:
        """Hold nothing any more."""
        self._held[self._client] -= self._own
        if not self._held[self._client]:
            del self._held[self._client]
