"""How often one client may ask: so many requests per token, or per address where no token was shown."""

import math
import time
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address

from cachetools import TTLCache
from limits import RateLimitItem, parse_many

from ....schemas.errors import BadInputError
from ....schemas.limits import LIMITS

_CLIENTS = 100_000
"""Counts that are kept at once, so that many addresses take little memory; those that nobody added to go first."""


@lru_cache(2**12)
def client_of(address: str) -> str:
    """Whose an address is, as far as it can be told: whoever has one of IPv6 has all of its network of /64."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if not isinstance(parsed, IPv6Address):
        return address
    return str(parsed.ipv4_mapped or f"{IPv6Address(int(parsed) >> 64 << 64)}/64")


class Rates:
    """Counts requests of each client in a sliding window; two numbers are kept of each.

    Of the window that is over, as much counts as the sliding one still covers. The strategies of `limits` do the same,
    but begin a thread at every request, for which the event loop waits.
    """

    def __init__(self, limit: str, now: Callable[[], float] = time.time) -> None:
        """Count for some limits.

        Args:
            limit: for example "3000/minute" or "50/second; 1000/minute"; empty for none.
            now: tells the time in seconds.

        Raises:
            BadInputError: it is not of this form.
        """
        self._limits = _parsed(limit) if limit.strip() else []
        self._guesses = _parsed(LIMITS.guesses)
        self._now = now
        longest = max(each.get_expiry() for each in [*self._limits, *self._guesses])
        self._counts: TTLCache[tuple[object, ...], int] = TTLCache(_CLIENTS, 2 * longest, now)

    def wait(self, client: str) -> int:
        """Count a request; seconds after which it would be allowed, 0 when it is allowed now."""
        return self._count(self._limits, "asks", client)

    def wait_before_guess(self, address: str) -> int:
        """Seconds after which any token from an address would be looked at; 0 when it is now. Counts nothing."""
        return max((self._left(limit, "guesses", address) for limit in self._guesses), default=0)

    def count_guess(self, address: str) -> None:
        """Count a wrong token."""
        self._count(self._guesses, "guesses", address)

    def _count(self, limits: list[RateLimitItem], kind: str, client: str) -> int:
        longest = 0
        for limit in limits:
            if left := self._left(limit, kind, client):
                longest = max(longest, left)
            else:
                key = (kind, client, limit, self._now() // limit.get_expiry())
                self._counts[key] = self._counts.get(key, 0) + 1
        return longest

    def _left(self, limit: RateLimitItem, kind: str, client: str) -> int:
        """Whole seconds until one more request is within the limit; 0 where it is now."""
        length = limit.get_expiry()
        window, passed = divmod(self._now(), length)
        before, current = (self._counts.get((kind, client, limit, window - back), 0) for back in (1, 0))
        if before * (1 - passed / length) + current < limit.amount:
            return 0
        if current >= limit.amount:  # in the next window, where what counts now is of the one before
            return math.ceil(length - passed + length * (1 - limit.amount / current)) or 1
        return math.ceil(length * (1 - (limit.amount - current) / before) - passed) or 1


def _parsed(limit: str) -> list[RateLimitItem]:
    try:
        return parse_many(limit)
    except ValueError:
        raise BadInputError(f"rate_limit {limit[:60]!r} is not like 3000/minute or 50/second; 1000/minute.") from None
