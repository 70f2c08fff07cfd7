"""Recall at k against values worked out by hand."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.recall import (
    best_ranks,
    chance_recall_at_k,
    image_to_text_ranks,
    recall_at_k,
    score_retrieval,
    text_to_image_ranks,
)

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


def test_whole_numbers_are_scores_too() -> None:
    assert best_ranks([[3, 2, 3]], [[1, 0, 0]]).tolist() == [2]


TEXT_SCORES = np.array(
    [  # images 0, 1, 2; texts 0, 1 belong to image 0, texts 2, 3 to image 1, text 4 to image 2
        [0.9, 0.2, 0.1],
        [0.3, 0.8, 0.2],
        [0.7, 0.6, 0.6],
        [0.1, 0.1, 0.1],
        [0.5, 0.4, 0.6],
    ]
)
OWNERS = [0, 0, 1, 1, 2]


def test_retrieval_both_ways_worked_out_by_hand() -> None:
    """Images find: 0 first; 1 has 0.6 behind text 1's 0.8; 2 has 0.6, tied with text 2's."""
    assert text_to_image_ranks(TEXT_SCORES, OWNERS).tolist() == [1, 2, 3, 3, 1]
    assert image_to_text_ranks(TEXT_SCORES, OWNERS).tolist() == [1, 2, 2]
    scores = score_retrieval(TEXT_SCORES, OWNERS, (1, 2))
    values = {way: {name: share.value for name, share in table.items()} for way, table in scores.items()}
    assert values == {
        "text_to_image": {"recall_at_1": 0.4, "recall_at_2": 0.6},
        "image_to_text": {"recall_at_1": pytest.approx(1 / 3), "recall_at_2": 1.0},
    }
    assert scores["image_to_text"]["recall_at_1"].count == 3


@st.composite
def retrievals(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and the images that texts belong to; every image has a text."""
    images = draw(st.integers(1, 5))
    owners = draw(st.permutations([*range(images), *draw(st.lists(st.integers(0, images - 1), max_size=8))]))
    values = st.lists(st.sampled_from([-np.inf, 0.0, 0.1, 0.5]), min_size=images, max_size=images)
    return np.array([draw(values) for _ in owners], dtype=np.float32), np.array(owners)


@given(retrievals(), st.integers(1, 14))
def test_in_parts_it_is_the_same_as_on_the_whole_matrix(case: tuple[np.ndarray, np.ndarray], rows: int) -> None:
    scores, owners = case
    relevant = owners[:, None] == np.arange(scores.shape[1])
    in_parts = text_to_image_ranks(scores, owners, rows_per_chunk=rows)
    assert in_parts.tolist() == best_ranks(scores, relevant).tolist()
    in_parts = image_to_text_ranks(scores, owners, rows_per_chunk=rows)
    assert in_parts.tolist() == best_ranks(scores.T, relevant.T).tolist()


def test_scores_on_disk_are_read_a_part_at_a_time(tmp_path: Path) -> None:
    texts, images = 4000, 800
    owners = np.arange(texts) % images
    draw = np.random.Generator(np.random.Philox(0))
    matrix = draw.random((texts, images), dtype=np.float32)
    matrix[np.arange(texts), owners] += 0.5
    np.save(tmp_path / "scores.npy", matrix)
    expected = score_retrieval(matrix, owners, rows_per_chunk=texts)
    on_disk = np.load(tmp_path / "scores.npy", mmap_mode="r")
    tracemalloc.start()
    try:
        assert score_retrieval(on_disk, owners, rows_per_chunk=100) == expected
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < matrix.nbytes / 4, "more than a part of the matrix was in memory"
    assert expected["text_to_image"]["recall_at_10"].value > 0.5


def test_images_without_a_text_are_only_candidates() -> None:
    assert text_to_image_ranks(np.array([[0.5, 0.7]]), [1]).tolist() == [1]
    with pytest.raises(ValueError, match="1 images have no text to be found, the first is image 0"):
        image_to_text_ranks(np.array([[0.5, 0.7]]), [1])


@pytest.mark.parametrize(
    ("scores", "owners", "message"),
    [
        (np.zeros((2, 3)), [0, 1, 2], r"\[2, 3\] and \[3\]"),
        (np.zeros((0, 3)), [], r"\[0, 3\] and \[0\]"),
        (np.zeros((2, 3)), [0, 3], "text 1 belongs to image 3, but there are only 3 images"),
        (np.zeros((2, 3)), [-1, 0], "text 0 belongs to image -1"),
        (np.zeros((2, 3)), [0.0, 1.0], "owners must be whole numbers"),
        (np.array([[0, 0], [0, 0], [0, np.nan]]), [0, 1, 1], "text 2 and image 1 is not a number"),
    ],
)
def test_retrieval_without_a_meaning_is_refused(scores: np.ndarray, owners: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text_to_image_ranks(scores, owners, rows_per_chunk=2)


def test_parts_hold_a_text_at_least() -> None:
    with pytest.raises(ValueError, match="rows_per_chunk must be at least 1, got 0"):
        score_retrieval(TEXT_SCORES, OWNERS, rows_per_chunk=0)
