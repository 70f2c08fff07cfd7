"""VQA accuracy against the numbers of the official script, and against scores counted by hand."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.vqa import score_answer, score_vqa

ANSWERS = [
    "red",
    "Red.",
    "the red",
    "blue",
    "light-blue",
    "two",
    "2",
    "none",
    "yes",
    "no",
    "1,000",
    "dont know",
    "a dog",
]
ANSWER_TYPES = ["yes/no", "number", "other"]
QUESTION_TYPES = ["what is", "how many", "is the", "none of the above"]

OFFICIAL = {
    "overall": 63.9,
    "per_answer_type": {"number": 62.19, "other": 64.48, "yes/no": 64.91},
    "per_question_type": {"how many": 65.83, "is the": 69.42, "none of the above": 63.66, "what is": 57.4},
}
"""What vqaEval.py of GT-Vision-Lab/VQA prints for `random_questions()`: percent, rounded to two places."""


def random_questions() -> tuple[dict[str, str], dict[str, dict]]:
    """Predictions and references of 300 questions; humans agree on about a quarter."""
    draw = random.Random(0)
    predictions, references = {}, {}
    for number in range(300):
        pool = draw.sample(ANSWERS, draw.choice([1, 2, 3, 5]))
        name = str(1000 + number)
        references[name] = {
            "answers": [draw.choice(pool) for _ in range(10)],
            "answer_type": draw.choice(ANSWER_TYPES),
            "question_type": draw.choice(QUESTION_TYPES),
        }
        predictions[name] = draw.choice([*pool, draw.choice(ANSWERS)])
    return predictions, references


def question(*answers: str) -> dict:
    return {"answers": answers, "answer_type": "other", "question_type": None}


def percent(share) -> float:
    return round(100 * share.value, 2)


def test_numbers_of_the_official_script() -> None:
    scores = score_vqa(*random_questions())
    assert percent(scores["accuracy"]) == OFFICIAL["overall"]
    for table in ("per_answer_type", "per_question_type"):
        assert {name: percent(share) for name, share in scores[table].items()} == OFFICIAL[table]


def test_scores_counted_by_hand() -> None:
    """8 of 10: 1; 2 of 10: 0.6; 1 of 10: 0.3; 0 of 10: 0. With the simple score: 1, 2/3, 1/3, 0."""
    answers = ["cat"] * 7 + ["A cat.", "dog", "Dog"]
    references = {name: question(*answers) for name in "abd"} | {"c": question(*["x"] * 9, "Y")}
    predictions = {"a": "the cat", "b": "dog", "c": "y", "d": "cow"}
    scores = score_vqa(predictions, references)
    assert scores["accuracy"].value == pytest.approx(1.9 / 4)
    assert scores["accuracy"].count == 4
    assert scores["variant"] == "official"
    assert scores["per_question_type"] == {}
    assert score_vqa(predictions, references, "closed_form")["accuracy"].value == pytest.approx(1.9 / 4)
    simple = score_vqa(predictions, references, "simple")
    assert simple["accuracy"].value == pytest.approx(0.5)
    assert simple["variant"] == "simple"


def test_where_humans_agree_the_answer_must_be_the_same_to_the_letter() -> None:
    """The official script normalises only where they disagree."""
    assert score_answer("2:30 pm", ["2:30 p.m."] * 10) == 0
    assert score_answer(" 2:30\tp.m.\n", ["2:30 p.m."] * 10) == 1
    assert score_answer("2:30 pm", ["2:30 p.m."] * 9 + ["noon"]) == 1
    assert score_answer("2:30 pm", ["2:30 p.m.", "2:30 p.m. "] * 5) == 0


@given(st.permutations(range(12)), st.integers(1, 11))
def test_order_does_not_matter_and_parts_add_up(order: list[int], cut: int) -> None:
    predictions, references = random_questions()
    names = [list(predictions)[place] for place in order]
    parts = [
        score_vqa({name: predictions[name] for name in part}, {name: references[name] for name in part})["accuracy"]
        for part in (names, sorted(names), names[:cut], names[cut:])
    ]
    assert parts[0] == parts[1]
    assert parts[2].value * cut + parts[3].value * (12 - cut) == pytest.approx(parts[0].value * 12)


def test_a_prediction_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match="predicted for example '1' must be a text, got None"):
        score_vqa({"1": None}, {"1": question("a", "b")})


@pytest.mark.parametrize(
    ("predictions", "references", "message"),
    [
        ({"1": "a"}, {"1": question()}, "question '1' has no answers, as in a test split"),
        ({"1": "a"}, {"1": question("a", "b"), "2": question("a", "b")}, "1 are missing: '2'"),
        ({"1": "a", "3": "b"}, {"1": question("a", "b")}, "1 belong to no example: '3'"),
        ({}, {}, "no examples"),
    ],
)
def test_what_cannot_be_scored_is_refused(predictions: dict, references: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score_vqa(predictions, references)
