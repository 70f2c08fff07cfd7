"""Accuracy over classes, and NLVR2's consistency over groups, against hand-counted and official numbers."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics_vl.labels import score_labels
from metrics_vl.nlvr2 import score_nlvr2

OFFICIAL_ACCURACY, OFFICIAL_CONSISTENCY = 0.77, 0.34
"""What nlvr2/eval/metrics.py of lil-lab/nlvr prints for `random_statements()`."""


def random_statements() -> tuple[dict[str, str], dict[str, str], dict[str, tuple]]:
    """Predictions, labels and groups of 200 examples by identifier split-set-pair-sentence; four of five are right."""
    draw = random.Random(0)
    identifiers = [f"dev-{number // 8}-{number % 4}-{number // 4 % 2}" for number in range(200)]
    labels = {name: draw.choice(["True", "False"]) for name in identifiers}
    wrong = {"True": "False", "False": "True"}
    predictions = {name: label if draw.random() < 0.8 else wrong[label] for name, label in labels.items()}
    groups = {name: (name.split("-")[1], name.split("-")[3]) for name in identifiers}
    return predictions, labels, groups


def test_numbers_of_the_official_nlvr2_script() -> None:
    scores = score_nlvr2(*random_statements())
    assert scores["accuracy"].value == OFFICIAL_ACCURACY
    assert scores["consistency"].value == OFFICIAL_CONSISTENCY
    assert (scores["accuracy"].count, scores["consistency"].count) == (200, 50)


def test_consistency_counted_by_hand() -> None:
    """Right: a, b, d. Of the groups x = {a, b}, y = {c, d}, z = {e} only x is all right."""
    labels = {"a": "True", "b": "False", "c": "True", "d": "False", "e": "False"}
    predictions = labels | {"c": "False", "e": "True"}
    scores = score_nlvr2(predictions, labels, dict(zip("abcde", "xxyyz", strict=True)))
    assert scores["accuracy"].value == 0.6
    assert scores["consistency"].value == pytest.approx(1 / 3)


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1))
def test_groups_of_one_make_consistency_the_accuracy(examples: list[tuple[int, bool]]) -> None:
    """And in groups of any size it is never above the accuracy of the best group, nor defined by their order."""
    labels = dict.fromkeys(range(len(examples)), "True")
    predictions = {number: str(hit) for number, (_, hit) in enumerate(examples)}
    alone = score_nlvr2(predictions, labels, {number: number for number in labels})
    assert alone["consistency"] == alone["accuracy"]
    groups = {number: group for number, (group, _) in enumerate(examples)}
    together = score_nlvr2(predictions, labels, groups)
    backwards = score_nlvr2(*({name: d[name] for name in reversed(d)} for d in (predictions, labels, groups)))
    assert together == backwards
    whole = sum(all(hit for other, hit in examples if other == group) for group in set(groups.values()))
    assert together["consistency"].value == pytest.approx(whole / len(set(groups.values())))


def test_groups_must_fit_the_examples() -> None:
    with pytest.raises(ValueError, match="the groups do not fit the 2 examples; 1 are missing: 'b'"):
        score_nlvr2({"a": "True", "b": "True"}, {"a": "True", "b": "True"}, {"a": 1})


def test_accuracy_of_each_class_counted_by_hand() -> None:
    gold = dict(zip("abcdef", ["entailment"] * 3 + ["neutral"] * 2 + ["contradiction"], strict=True))
    predicted = gold | {"a": "neutral", "d": "entailment"}
    scores = score_labels(predicted, gold)
    assert scores["accuracy"].value == pytest.approx(4 / 6)
    per_label = {label: (share.value, share.count) for label, share in scores["per_label"].items()}
    assert per_label == {"contradiction": (1, 1), "entailment": (pytest.approx(2 / 3), 3), "neutral": (0.5, 2)}


def test_a_class_missing_in_the_data_may_be_predicted_when_it_is_known() -> None:
    assert score_labels({"a": "neutral"}, {"a": "entailment"}, ["entailment", "neutral"])["accuracy"].value == 0


@pytest.mark.parametrize(
    ("predictions", "references", "labels", "message"),
    [
        ({"a": "true"}, {"a": "True"}, None, "prediction of example 'a' is 'true', which is not one of .* 'True'"),
        ({"a": True}, {"a": "True"}, None, "prediction of example 'a' is True"),
        ({"a": "no"}, {"a": "-"}, ["no", "yes"], "label of example 'a' is '-', which is not one of .* 'no', 'yes'"),
        ({"a": "x", "b": "x"}, {"a": "x", "b": None}, None, "1 examples have no label, as in a test split: 'b'"),
        ({"a": "x"}, {"b": "x"}, None, "missing: 'b'; 1 belong to no example: 'a'"),
    ],
)
def test_what_cannot_be_scored_is_refused(
    predictions: dict, references: dict, labels: list[str] | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        score_labels(predictions, references, labels)
