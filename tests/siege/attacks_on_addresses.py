"""Headers and addresses that are no proper ones: refused as what they are, never a failure of the server."""

from attack import Target, attacks, codes


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
