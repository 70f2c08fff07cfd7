"""GQA's measures against the official script, and against numbers worked out by hand."""

from __future__ import annotations

import random

import pytest

from metrics_vl.gqa import gqa_consistency, gqa_distribution, score_gqa

OFFICIAL = {
    "accuracy": "74.87",
    "consistency": "73.19",
    "distribution": 0.025398362321439247,
    "per_form": {"binary": "75.69", "open": "71.67"},
    "per_question_type": {
        "choose": ("72.13", 122),
        "compare": ("76.07", 117),
        "logical": ("76.42", 123),
        "query": ("71.67", 120),
        "verify": ("78.38", 111),
    },
    "per_answer_type": {"attr": ("70.43", 301), "obj": ("79.45", 292)},
}
"""What the official eval.py finds with --consistency for `random_questions()`; the distribution before rounding."""

STRUCTURES = ["query", "verify", "logical", "choose", "compare"]


def random_questions() -> tuple[dict[str, str], dict[str, dict]]:
    """Predictions for, and the official entries of, 900 questions, of which a third are not balanced."""
    draw = random.Random(0)
    names = [str(number) for number in range(900)]
    questions, predictions = {}, {}
    for name in names:
        structure = draw.choice(STRUCTURES)
        answers = ["red", "red", "blue", "cat", "cow"] if structure == "query" else ["yes", "no"]
        questions[name] = {
            "answer": draw.choice(answers),
            "isBalanced": draw.random() < 2 / 3,
            "entailed": draw.sample(names, draw.choice([0, 0, 1, 3])) + [name] * draw.choice([0, 1]),
            "groups": {"global": draw.choice([None, "colour", "animal"]) if structure == "query" else None},
            "types": {"structural": structure, "semantic": draw.choice(["obj", "attr"]), "detailed": "existC"},
        }
        predictions[name] = questions[name]["answer"] if draw.random() < 0.6 else draw.choice([*answers, "dog"])
    return predictions, questions


def balanced(predictions: dict[str, str], questions: dict[str, dict]) -> tuple[dict[str, str], dict[str, dict]]:
    """Predictions for, and references of, the balanced questions."""
    chosen = {name: question for name, question in questions.items() if question["isBalanced"]}
    references = {}
    for name, question in chosen.items():
        references[name] = {
            "answers": [question["answer"]],
            "question_type": question["types"]["structural"],
            "answer_type": question["types"]["semantic"],
        }
    return {name: predictions[name] for name in chosen}, references


def percent(value: float) -> str:
    return f"{100 * value:.2f}"


def test_accuracies_of_the_official_script() -> None:
    scores = score_gqa(*balanced(*random_questions()))
    assert percent(scores["accuracy"].value) == OFFICIAL["accuracy"]
    assert {name: percent(share.value) for name, share in scores["per_form"].items()} == OFFICIAL["per_form"]
    for table in ("per_question_type", "per_answer_type"):
        found = {name: (percent(share.value), share.count) for name, share in scores[table].items()}
        assert found == OFFICIAL[table]


def test_questions_of_unknown_type_are_in_no_table() -> None:
    scores = score_gqa({"1": "a"}, {"1": {"answers": ["a"], "question_type": "colour", "answer_type": None}})
    assert (scores["accuracy"].value, scores["per_form"], scores["per_answer_type"]) == (1, {}, {})


def test_consistency_and_distribution_of_the_official_script() -> None:
    predictions, questions = random_questions()
    assert percent(gqa_consistency(predictions, questions).value) == OFFICIAL["consistency"]
    assert gqa_distribution(predictions, questions) == pytest.approx(OFFICIAL["distribution"], rel=1e-12)
    only_balanced = {name: answer for name, answer in predictions.items() if questions[name]["isBalanced"]}
    assert gqa_distribution(only_balanced, questions) == gqa_distribution(predictions, questions)


def entry(answer: str, *entailed: str, balanced: bool = True, group: str | None = None) -> dict:
    return {"answer": answer, "isBalanced": balanced, "entailed": list(entailed), "groups": {"global": group}}


def test_consistency_by_hand() -> None:
    """a is right, and of what it entails (b and c) one is; b is wrong and does not count; c is not balanced."""
    questions = {"a": entry("yes", "a", "b", "c"), "b": entry("no", "a"), "c": entry("red", "c", balanced=False)}
    consistency = gqa_consistency({"a": "yes", "b": "yes", "c": "red"}, questions)
    assert (consistency.value, consistency.count) == (0.5, 1)


def test_consistency_of_a_model_that_is_never_right() -> None:
    consistency = gqa_consistency({"a": "x", "b": "x"}, {"a": entry("yes", "b"), "b": entry("no")})
    assert (consistency.value, consistency.low, consistency.high, consistency.count) == (0, 0, 1, 0)


def test_distribution_by_hand() -> None:
    """Group g: (1 - 2)² / 2 + (1 - 1)² / 1 = 0.5, three questions; group h: (0 - 1)² / 1 = 1, one: 2.5 / 4 / 100."""
    groups = {"a": "g", "b": "g", "c": "g", "d": "h"}
    answers = dict(zip("abcd", ["red", "red", "blue", "cat"], strict=True))
    questions = {name: entry(answers[name], group=groups[name]) for name in answers}
    assert gqa_distribution(answers | {"b": "green", "d": "dog"}, questions) == pytest.approx(0.00625)
    assert gqa_distribution({"a": "blue", "b": "red", "c": "red", "d": "cat"}, questions) == 0


def test_a_prediction_that_is_no_text_is_refused() -> None:
    references = {"1": {"answers": ["yes"], "answer_type": None, "question_type": None}}
    with pytest.raises(TypeError, match="predicted for example '1' must be a text, got True"):
        score_gqa({"1": True}, references)


@pytest.mark.parametrize("answers", [[], ["a", "b"], "a"])
def test_one_answer_is_right(answers: object) -> None:
    with pytest.raises(ValueError, match="question '1' must have a list with one answer"):
        score_gqa({"1": "a"}, {"1": {"answers": answers, "answer_type": None, "question_type": None}})


@pytest.mark.parametrize(
    ("predictions", "questions", "message"),
    [
        ({"a": "x"}, {"a": entry("x", "z")}, "the file of all questions is needed: 'z'"),
        ({"a": "x"}, {"a": entry("x", "b"), "b": entry("x", balanced=False)}, "1 are missing: 'b'"),
        ({"a": "x", "b": "x", "c": "x"}, {"a": entry("x", "b"), "b": entry("x")}, "1 belong to no example: 'c'"),
        ({"a": "x"}, {"a": entry("x", "a")}, "no balanced question entails another"),
    ],
)
def test_consistency_that_is_not_defined_is_refused(predictions: dict, questions: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gqa_consistency(predictions, questions)


@pytest.mark.parametrize(
    ("predictions", "questions", "message"),
    [
        ({}, {"a": entry("x", group="g")}, "1 are missing: 'a'"),
        ({"a": "x", "b": "x"}, {"a": entry("x", group="g")}, "1 belong to no example: 'b'"),
        ({"a": "x"}, {"a": entry("x")}, "no balanced question belongs to a group"),
    ],
)
def test_distribution_that_is_not_defined_is_refused(predictions: dict, questions: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        gqa_distribution(predictions, questions)
