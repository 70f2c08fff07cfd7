from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from datasets_vl.order import epoch_permutation, share

PERMUTATIONS = [
    [1, 5, 4, 7, 0, 3, 2, 6],
    [3, 5, 2, 1, 6, 4, 7, 0],
    [1, 5, 7, 2, 3, 6, 4, 0],
]


def test_permutation_is_the_same_on_every_machine() -> None:
    assert epoch_permutation(8, seed=3, epoch=0).tolist() == PERMUTATIONS[0]
    assert epoch_permutation(8, seed=3, epoch=1).tolist() == PERMUTATIONS[1]
    assert epoch_permutation(8, seed=4, epoch=0).tolist() == PERMUTATIONS[2]


@given(st.integers(0, 200), st.integers(0, 2**40), st.integers(0, 1000))
def test_permutation_holds_everything_once(count: int, seed: int, epoch: int) -> None:
    assert np.array_equal(np.sort(epoch_permutation(count, seed=seed, epoch=epoch)), np.arange(count))


@given(st.integers(0, 300), st.integers(1, 40))
def test_shares_cover_everything_once_and_are_equal_within_one(count: int, parts: int) -> None:
    shares = [share(count, part, parts) for part in range(parts)]
    assert [position for one in shares for position in one] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
