"""Where a server cannot be: the true reason, in one sentence."""

import socket

import pytest
from toy_server import Run


@pytest.mark.parametrize(
    ("host", "port", "reason"),
    [
        ("no.such.host.invalid", 18783, "is no address that is known here"),
        ("192.0.2.1", 18783, "this machine has no such address"),
        ("127.0.0.1", 99999, "65535"),
        ("127.0.0.1", -1, "0"),
    ],
)
def test_the_reason_is_told(run: Run, monkeypatch: pytest.MonkeyPatch, host: str, port: int, reason: str) -> None:
    monkeypatch.setenv("VOXEL_ATLAS_HOST", host)
    status, _, err = run("serve", "--port", port)
    assert status == 2
    assert reason in err
    assert "Traceback" not in err
    assert len(err.strip().splitlines()) == 1


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
def test_only_a_port_that_is_in_use_is_said_to_be(
    run: Run, monkeypatch: pytest.MonkeyPatch, family: socket.AddressFamily, host: str
) -> None:
    with socket.socket(family) as other:
        try:
            other.bind((host, 0))
        except OSError:
            pytest.skip("this machine has no such loopback address")
        other.listen()
        monkeypatch.setenv("VOXEL_ATLAS_HOST", host)
        status, _, err = run("serve", "--port", other.getsockname()[1])
    assert (status, "is in use" in err) == (2, True)
