"""Recall at k against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.recall import best_ranks, chance_recall_at_k, recall_at_k

SCORES = np.array(
    [
        [0.9, 0.1, 0.5, 0.3],  # right: 0 -> rank 1
        [0.2, 0.3, 0.8, 0.7],  # right: 1 -> rank 3
        [0.4, 0.4, 0.4, 0.1],  # right: 2, tied with two wrong ones -> rank 3
        [0.6, 0.7, 0.5, 0.1],  # right: 1 and 3, the best of them is first -> rank 1
    ]
)
RELEVANT = np.zeros((4, 4), dtype=bool)
RELEVANT[[0, 1, 2, 3, 3], [0, 1, 2, 1, 3]] = True


def test_ranks_and_recalls_worked_out_by_hand() -> None:
    assert best_ranks(SCORES, RELEVANT).tolist() == [1, 3, 3, 1]
    assert recall_at_k(SCORES, RELEVANT, (1, 2, 3)) == {1: 0.5, 2: 0.5, 3: 1.0}


def test_other_direction_is_the_transposed_matrix() -> None:
    """Columns 0 to 3: 0.9 first; 0.7 first of 1 and 3; 0.4 behind 0.8, 0.5, 0.5; 0.1 last, tied with 0.1."""
    assert best_ranks(SCORES.T, RELEVANT.T).tolist() == [1, 1, 4, 4]


def test_a_model_that_always_says_the_same_finds_nothing() -> None:
    assert recall_at_k(np.zeros((5, 5)), np.eye(5), (1, 4, 5)) == {1: 0.0, 4: 0.0, 5: 1.0}


@given(st.permutations(range(4)))
def test_the_order_of_candidates_does_not_matter(order: list[int]) -> None:
    assert best_ranks(SCORES[:, order], RELEVANT[:, order]).tolist() == [1, 3, 3, 1]


def test_chance_with_one_and_with_several_right_answers() -> None:
    """One of 100; five of 10 at k = 1, 2: 1/2 and 1 - (5/10)(4/9); k above the number of candidates."""
    assert chance_recall_at_k(np.eye(100), (1, 5, 10)) == pytest.approx({1: 0.01, 5: 0.05, 10: 0.1})
    half = np.arange(10)[None] < 5
    assert chance_recall_at_k(half, (1, 2, 20)) == pytest.approx({1: 0.5, 2: 1 - 20 / 90, 20: 1.0})


@pytest.mark.parametrize(
    ("scores", "relevant", "message"),
    [
        (np.zeros((2, 3)), np.eye(2), r"\[2, 3\] and \[2, 2\]"),
        ([[0.0, np.nan]], [[1, 0]], "query 0 and candidate 1 is not a number"),
        (np.zeros((2, 2)), [[1, 0], [0, 0]], "1 queries have no relevant candidate, the first is query 1"),
    ],
)
def test_input_without_a_meaning_is_refused(scores: object, relevant: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        best_ranks(scores, relevant)


def test_k_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"at least 1, got \[0, 5\]"):
        recall_at_k(SCORES, RELEVANT, (0, 5))
