"""Networks in other processes: one is sent as the call that loaded it, and is loaded there, on what device there is."""

import copyreg
import pickle
import socket
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any, ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from ...schemas.errors import BadInputError

_P = ParamSpec("_P")
_Network = TypeVar("_Network")

_Named = tuple[tuple[str, object], ...]
_calls: WeakKeyDictionary[object, tuple[Callable[..., Any], tuple[object, ...], _Named]] = WeakKeyDictionary()


def reloadable(load: Callable[_P, _Network]) -> Callable[_P, _Network]:
    """Let what `load` gives be pickled as that call: weights are not sent, and "auto" is each machine's own device.

    `load` is a function of a module, and its arguments are hashable.
    """

    @wraps(load)
    def loading(*arguments: _P.args, **named: _P.kwargs) -> _Network:
        network = load(*arguments, **named)
        _calls[network] = loading, arguments, tuple(named.items())
        copyreg.pickle(type(network), _reduced)
        return network

    return loading


def _reduced(network: object) -> str | tuple[Any, ...]:
    if network not in _calls:  # another of its class, made without a call that could be repeated
        return network.__reduce_ex__(pickle.HIGHEST_PROTOCOL)
    return _loaded_again, (*_calls[network], _identity(network))


@lru_cache(maxsize=8)
def _loaded_again(load: Callable[..., object], arguments: tuple[object, ...], named: _Named, identity: str) -> object:
    """The network of such a call, once in a process.

    Raises:
        BadInputError: this machine has other weights of that name.
    """
    network = load(*arguments, **dict(named))
    if _identity(network) != identity:
        raise BadInputError(
            f"{socket.gethostname()} has other weights or settings of {getattr(network, 'name', 'a network')} than the "
            "machine that asks it; put the same files there."
        )
    return network


def _identity(network: object) -> str:
    """The fingerprint of a backbone, or the name of a captioner or generator, which holds a hash of its settings."""
    return str(getattr(network, "fingerprint", "") or getattr(network, "name", ""))
