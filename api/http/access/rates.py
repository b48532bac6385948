"""How often one client may ask: so many requests per token, or per address where no token was shown."""

import math
import time

from limits import RateLimitItem, parse_many
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from ....schemas.errors import BadInputError
from ....schemas.limits import LIMITS


class Rates:
    """Counts requests of each client in a sliding window; two numbers are kept of each."""

    def __init__(self, limit: str) -> None:
        """Count for some limits.

        Args:
            limit: for example "3000/minute" or "50/second; 1000/minute"; empty for none.

        Raises:
            BadInputError: it is not of this form.
        """
        self._limits = _parsed(limit) if limit.strip() else []
        self._guesses = _parsed(LIMITS.guesses)
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())

    def wait(self, client: str) -> int:
        """Count a request; seconds after which it would be allowed, 0 when it is allowed now."""
        return self._count(self._limits, "asks", client)

    def wait_before_guess(self, address: str) -> int:
        """Seconds after which any token from an address would be looked at; 0 when it is now. Counts nothing."""
        over = [limit for limit in self._guesses if not self._limiter.test(limit, "guesses", address)]
        return max((self._left(limit, "guesses", address) for limit in over), default=0)

    def count_guess(self, address: str) -> None:
        """Count a wrong token."""
        self._count(self._guesses, "guesses", address)

    def _count(self, limits: list[RateLimitItem], kind: str, client: str) -> int:
        over = [limit for limit in limits if not self._limiter.hit(limit, kind, client)]
        return max((self._left(limit, kind, client) for limit in over), default=0)

    def _left(self, limit: RateLimitItem, kind: str, client: str) -> int:
        until = self._limiter.get_window_stats(limit, kind, client).reset_time
        return max(1, math.ceil(until - time.time()))


def _parsed(limit: str) -> list[RateLimitItem]:
    try:
        return parse_many(limit)
    except ValueError:
        raise BadInputError(f"rate_limit {limit[:60]!r} is not like 3000/minute or 50/second; 1000/minute.") from None
