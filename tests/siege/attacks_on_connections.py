"""Clients that open connections and neither send nor read: none holds what honest ones need."""

import socket
import time
from collections.abc import Iterable
from contextlib import suppress

from attack import PATIENCE_S, Target, attack, attacks

from voxel_atlas.schemas.limits import LIMITS

MANY = 1050
"""More than the descriptors that a process has by default."""


def _is_ended(raw: socket.socket, seconds: float) -> bool:
    """Whether the server ends a connection within so many seconds; what it says before is read."""
    deadline = time.monotonic() + seconds
    try:
        while (left := deadline - time.monotonic()) > 0:
            raw.settimeout(left)
            if not raw.recv(2**16):
                return True
    except TimeoutError:
        return False
    except OSError:
        return True
    return False


def _close(connections: Iterable[socket.socket]) -> None:
    for raw in connections:
        raw.close()


@attacks(
    silent=b"",
    half_a_line=b"GET /heal",
    half_a_head=b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: ",
    half_a_body=b"POST /login HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\ntoken=",
)
def half_open(target: Target, said: bytes) -> None:
    """A thousand requests of which only a beginning comes."""
    held = []
    try:
        for _ in range(MANY):
            held.append(target.connection())
            with suppress(OSError):
                held[-1].sendall(said)
        target.require_answers()
        with target.client("read") as neighbour:  # from the attacker's own address
            assert neighbour.get("/healthz").status_code == 200
        assert _is_ended(held[-1], PATIENCE_S)
    finally:
        _close(held)


@attacks(
    head=b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-a: ",
    body=b"POST /login HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n",
)
def dripping(target: Target, said: bytes) -> None:
    """A request that comes byte by byte, so that the connection is never idle."""
    with target.connection() as raw:
        raw.sendall(said)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            try:
                raw.sendall(b"a")
                raw.settimeout(0.5)
                if not raw.recv(2**16):
                    return
            except TimeoutError:
                continue
            except OSError:
                return
        raise AssertionError("a request may take forever")


@attack
def never_reading(target: Target) -> None:
    """Answers that nobody reads are not held for long."""
    token = target.tokens["read"]
    head = f"GET /assets/vendor/graphiql.js HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
    held = []
    try:
        for _ in range(20):
            raw = target.connection()
            held.append(raw)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.sendall(head.encode())
        time.sleep(1)
        deadline = time.monotonic() + PATIENCE_S
        while (n := sum(not _is_reset(raw) for raw in held)) and time.monotonic() < deadline:
            time.sleep(1)
        assert not n, f"{n} answers are held for who does not read"
    finally:
        _close(held)


@attack
def bodies_without_an_end(target: Target) -> None:
    """A reader sends a hundred bodies of which the last byte never comes: 1.1 GB, each within its limit."""
    token, before = target.tokens["read"], target.memory()
    head = f"POST /graphql HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\ncontent-length: 12000000\r\n\r\n"
    held = []
    try:
        for _ in range(100):
            held.append(target.connection())
            with suppress(OSError):
                held[-1].sendall(head.encode() + b" " * 11_000_000)
        target.require_answers()
        assert target.memory() - before < 1.5 * LIMITS.held_bytes
    finally:
        _close(held)


def _is_reset(raw: socket.socket) -> bool:
    """Whether a connection was ended, without reading from it."""
    try:
        raw.send(b"G")
    except OSError:
        return True
    return False
