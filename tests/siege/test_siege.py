"""Attacks on a live server, one after the other: each is refused, and an honest visitor is answered after each."""

import pytest
from attack import Attack, Target, all_attacks


@pytest.mark.parametrize("attack", all_attacks(), ids=lambda attack: attack.name)
def test_the_server_holds(target: Target, attack: Attack) -> None:
    attack.run(target)
    target.require_answers()
