"""Headers and addresses that are no proper ones: refused as what they are, never a failure of the server."""

from attack import Target, attack, attacks, codes

from voxel_atlas.schemas.limits import LIMITS


@attacks(
    bracket={"host": "["},
    brackets={"host": "[]"},
    port={"host": "localhost:99999999"},
    origin_bracket={"origin": "http://["},
    origin_port={"origin": "http://a:b"},
)
def header(target: Target, headers: dict[str, str]) -> None:
    """Hosts and origins that cannot be parsed."""
    with target.client() as client:
        answer = client.get("/graphql?query={atlas{format}}", headers=headers)
        assert answer.status_code < 500, answer.text
        assert answer.status_code == 200 or codes(answer)


@attacks(long=10**18, longer=2**63, longest=int("9" * 4000))
def voxel(target: Target, number: int) -> None:
    """A number that no voxel has."""
    with target.client() as client:
        answers = [client.get(f"/card.png?voxel={number}"), client.get(f"/card.png?voxel={number}9" + "9" * 1000)]
        answers.append(client.post("/frames/voxels", json={"voxels": [number]}))
        for answer in answers:
            assert answer.status_code in {400, 404}, f"{answer.status_code}: {answer.text[:200]}"
            assert codes(answer)


@attack
def looks_at_the_way_in(target: Target) -> None:
    """HEAD of the page where people log in, as a program that watches a site sends it: it guesses no token."""
    with target.client("", address="127.0.0.13") as watcher:
        assert {watcher.head("/login").status_code for _ in range(1 + int(LIMITS.guesses.partition("/")[0]))} == {200}


@attack
def administrator_ends_an_owner(target: Target) -> None:
    """An owner's token is revoked on the server's machine only, as it is made there only."""
    with target.client("admin") as admin, target.client("owner") as owner:
        assert codes(admin.delete("/tokens/siege-owner")) == ["BAD_INPUT"]
        assert owner.get("/quack").status_code == 200


@attack
def too_much_for_an_assistants_door(target: Target) -> None:
    """A message to /mcp above the limit is refused in the shape of all errors, and too many parts by name."""
    with target.client() as client:
        assert codes(client.post("/mcp", content=b" " * (LIMITS.message_bytes + 1))) == ["TOO_LARGE"]
        parts = client.post("/graphql", content=b"[" + b"1," * LIMITS.body_parts + b"1]")
        assert codes(parts) == ["BAD_INPUT"]
        assert f"{LIMITS.body_parts:,}" in parts.text


@attacks(
    label_probability="/values?metric=label_probability:cake",
    label_probability_empty="/values?metric=label_probability:",
    infinite="/values?metric=r2&lo=inf&hi=nan",
)
def address(target: Target, path: str) -> None:
    """Query strings that ask for what is not there."""
    with target.client() as client:
        answer = client.get(path)
        assert answer.status_code in {400, 404}, f"{answer.status_code}: {answer.text[:200]}"
        assert codes(answer)
