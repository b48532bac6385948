"""Work that takes long: done once, told of meanwhile, and in nobody's way."""

import threading

from attack import Target, attack


@attack
def slow_pictures(target: Target) -> None:
    """Forty visitors ask for what takes a minute; all others get their pictures meanwhile."""
    told: list[int] = []

    def ask() -> None:
        with target.client(address="127.0.0.9") as client:
            told.append(client.get("/labelcolours").status_code)

    askers = [threading.Thread(target=ask) for _ in range(40)]
    for asker in askers:
        asker.start()
    with target.client() as honest:
        query = "{ flatmap(metric: R2, width: 300) { url } }"
        address = honest.post("/graphql", json={"query": query}).json()["data"]["flatmap"]["url"]
        picture = honest.get(address)
        assert picture.status_code == 200, picture.text
        assert picture.content.startswith(b"\x89PNG")
    for asker in askers:
        asker.join()
    assert set(told) <= {200, 400, 404, 503}, told
