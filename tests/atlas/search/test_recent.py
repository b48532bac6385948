from hypothesis import given
from hypothesis import strategies as st

from voxel_atlas.atlas.search.recent import Recent


@given(
    steps=st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.integers(1, 40)), max_size=60),
    limit=st.integers(10, 100),
)
def test_what_was_not_used_for_longest_goes_first(steps: list[tuple[bool, int, int]], limit: int) -> None:
    recent = Recent[int, bytes](limit, len)
    expected: dict[int, bytes] = {}  # by use, the oldest first
    for puts, key, size in steps:
        if puts:
            expected.pop(key, None)
            expected[key] = bytes(size)
            recent.put(key, bytes(size))
            while sum(map(len, expected.values())) > limit and len(expected) > 1:
                del expected[next(iter(expected))]
        elif key in expected:
            expected[key] = expected.pop(key)
            assert recent.get(key) == expected[key]
        else:
            assert recent.get(key) is None
    assert {key for key in range(9) if recent.get(key) is not None} == expected.keys()
