"""VCR's three accuracies against the official script, and Q→AR as a conjunction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.vcr import score_vcr

OFFICIAL = {"answer": "0.715", "rationale": "0.748", "answer_and_rationale": "0.547"}
"""What models/eval_q2ar.py of rowanz/r2c prints for `random_scores()`."""


def random_scores() -> tuple[np.ndarray, np.ndarray]:
    """Labels `[400, 2]` and scores `[400, 2, 4]` of answers and rationales, in which the right one stands out."""
    draw = np.random.Generator(np.random.Philox(0))
    labels = draw.integers(0, 4, (400, 2))
    return labels, draw.random((400, 2, 4)) + 0.5 * (labels[..., None] == np.arange(4))


def rows(choices: np.ndarray, *names: str) -> dict[str, dict]:
    return {f"val-{number}": dict(zip(names, row, strict=True)) for number, row in enumerate(choices)}


def values(scores: dict) -> dict[str, float]:
    return {name: share.value for name, share in scores.items()}


def test_numbers_of_the_official_script() -> None:
    labels, scores = random_scores()
    chosen = rows(scores.argmax(axis=2), "answer", "rationale")
    found = values(score_vcr(chosen, rows(labels, "answer_label", "rationale_label")))
    assert {name: f"{value:.3f}" for name, value in found.items()} == OFFICIAL


def test_both_right_is_counted_on_the_same_question() -> None:
    """Both halves are right on two of four questions: on the same two 0.5, on different ones 0; never 0.25."""
    labels = rows([(0, 3)] * 4, "answer_label", "rationale_label")
    same = rows([(0, 3), (0, 3), (1, 2), (1, 2)], "answer", "rationale")
    apart = rows([(0, 2), (0, 2), (1, 3), (1, 3)], "answer", "rationale")
    assert values(score_vcr(same, labels)) == {"answer": 0.5, "rationale": 0.5, "answer_and_rationale": 0.5}
    assert values(score_vcr(apart, labels)) == {"answer": 0.5, "rationale": 0.5, "answer_and_rationale": 0.0}


@given(st.lists(st.tuples(*[st.integers(0, 3)] * 4), min_size=1))
def test_both_right_lies_between_its_bounds(questions: list[tuple[int, int, int, int]]) -> None:
    table = np.array(questions)
    found = values(
        score_vcr(rows(table[:, :2], "answer", "rationale"), rows(table[:, 2:], "answer_label", "rationale_label"))
    )
    both = found["answer_and_rationale"]
    assert found["answer"] + found["rationale"] - 1 - 1e-12 <= both <= min(found["answer"], found["rationale"])


@pytest.mark.parametrize(
    ("predictions", "references", "error", "message"),
    [
        ({"a": (0, 1)}, {"a": (0, 1), "b": (0, 1)}, ValueError, "1 are missing: 'b'"),
        ({"a": (0, 1)}, {"a": (0, None)}, ValueError, "example 'a' has no rationale label, as in a test split"),
        (
            {"a": ([0.1, 0.9], 1)},
            {"a": (0, 1)},
            TypeError,
            r"answer chosen for example 'a' must be its number, got \[",
        ),
    ],
)
def test_what_cannot_be_scored_is_refused(
    predictions: dict, references: dict, error: type[Exception], message: str
) -> None:
    chosen = {name: dict(zip(("answer", "rationale"), row, strict=True)) for name, row in predictions.items()}
    right = {
        name: dict(zip(("answer_label", "rationale_label"), row, strict=True)) for name, row in references.items()
    }
    with pytest.raises(error, match=message):
        score_vcr(chosen, right)
