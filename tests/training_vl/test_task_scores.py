"""Predictions of every kind against hand-made records."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from datasets_vl.tasks.table import TaskTable
from training_vl.task_scores import guess, is_labelled, main_shares, score_both_choices
from training_vl.tasks import TASKS

BOXES = np.array([[0, 0, 10, 10], [20, 20, 40, 40], [60, 60, 90, 90]], dtype=np.float32)


def text(words: str) -> dict[str, Any]:
    return {"text": words, "mentions": []}


def questions(*answers: list[str], **fields: Any) -> TaskTable:
    records = [
        {"example_id": f"q{n}", "image_id": "image", "question": "what is it", "answers": given, **fields}
        for n, given in enumerate(answers)
    ]
    return TaskTable.from_records("question_answering", records, labels=["cat", "dog"])


def choices(answer_labels: list[int | None], rationale_labels: list[int | None]) -> TaskTable:
    records = [
        {
            "example_id": f"c{n}",
            "image_id": "image",
            "question": text("why"),
            "answers": [text("a"), text("b")],
            "answer_label": answer,
            "rationales": [text("c"), text("d")],
            "rationale_label": rationale,
            "object_boxes": [],
            "object_names": [],
        }
        for n, (answer, rationale) in enumerate(zip(answer_labels, rationale_labels, strict=True))
    ]
    return TaskTable.from_records("multiple_choice", records)


def statements(*labels: str | None) -> TaskTable:
    records = [
        {
            "example_id": f"s{n}",
            "image_ids": ["image", "other"],
            "sentence": "yes",
            "label": label,
            "group": f"g{n // 2}",
        }
        for n, label in enumerate(labels)
    ]
    return TaskTable.from_records("classification", records, labels=["False", "True"])


def expressions() -> TaskTable:
    records = [
        {"example_id": "r0", "image_id": "image", "sentence": "this", "box": [20.0, 20.0, 40.0, 40.0]},
        {"example_id": "r1", "image_id": "image", "sentence": "that", "box": [200.0, 20.0, 240.0, 40.0]},
    ]
    return TaskTable.from_records("referring_expressions", records)


def phrases() -> TaskTable:
    def phrase(start: int, boxes: list[list[float]]) -> dict[str, Any]:
        return {"start": start, "end": start + 1, "phrase_id": str(start), "types": ["people"], "boxes": boxes}

    record = {"example_id": "p0", "image_id": "image", "sentence": "a b c"}
    record["phrases"] = [phrase(0, [[60.0, 60.0, 90.0, 90.0]]), phrase(2, []), phrase(4, [[0.0, 0.0, 10.0, 10.0]])]
    return TaskTable.from_records("phrase_grounding", [record])


def shares(task: str, table: TaskTable, predictions: dict[int, dict[str, Any]]) -> dict[str, float]:
    return main_shares(TASKS[task].score(table, predictions, "hand-made"))


def test_vqa_and_gqa() -> None:
    table = questions(["dog"] * 2 + ["cat"] * 8, ["dog"] * 10)
    predictions = {0: {"answer": "dog", "score": 0.1}, 1: {"answer": "dog", "score": 0.9}}
    assert shares("vqa", table, predictions) == {"accuracy": pytest.approx((0.6 + 1) / 2)}
    assert shares("gqa", questions(["dog"], ["cat"]), predictions) == {"accuracy": 0.5}
    # What was not predicted, as its image has no features, does not count.
    assert shares("vqa", table, {1: predictions[1]}) == {"accuracy": 1.0}


def test_choices() -> None:
    table = choices([0, 1, 1], [1, 1, 0])
    chosen = {n: {"choice": 1, "scores": [0.4, 0.6]} for n in range(3)}
    assert shares("vcr_qa", table, chosen) == {"accuracy": pytest.approx(2 / 3)}
    assert shares("vcr_qar", table, chosen) == {"accuracy": pytest.approx(2 / 3)}
    # Given answer 0 rationale 1 is chosen, given answer 1 rationale 0; the right answers are 0, 1 and 1.
    rationales = [{n: {"choice": 1 - answer} for n in range(3)} for answer in (0, 1)]
    answers = {"c0": [0.9, 0.1], "c1": [0.2, 0.8], "c2": [0.6, 0.4]}
    both = main_shares(score_both_choices(table, answers, rationales))
    assert both == pytest.approx({"answer": 2 / 3, "rationale": 2 / 3, "answer_and_rationale": 1 / 3})
    with pytest.raises(ValueError, match="question 'c2' has rationales, but no probabilities of its answers"):
        score_both_choices(table, {"c0": [1, 0], "c1": [1, 0]}, rationales)


def test_statements() -> None:
    table = statements("True", "False", "True", "True")
    predictions = {n: {"label": "True", "score": 0.5} for n in range(4)}
    assert shares("nlvr2", table, predictions) == {"accuracy": 0.75, "consistency": 0.5}
    assert shares("snli_ve", table, predictions) == {"accuracy": 0.75}


def test_boxes_of_expressions() -> None:
    scores = {0: {"boxes": BOXES, "scores": np.array([0, 2, 1])}, 1: {"boxes": BOXES, "scores": np.array([0, 2, 1])}}
    assert shares("refcoco", expressions(), scores) == {"accuracy": 0.5, "upper_bound": 0.5}


def test_boxes_of_phrases_without_the_padding() -> None:
    ranked = np.array([[3, 2, 1], [1, 2, 3], [1, 2, 3], [9, 9, 9]])
    scores = shares("flickr30k_entities", phrases(), {0: {"boxes": BOXES, "scores": ranked}})
    assert scores == {"recall_at_1": 0.0, "recall_at_5": 1.0, "recall_at_10": 1.0, "upper_bound": 1.0}


def test_which_splits_say_what_is_right() -> None:
    assert is_labelled(questions(["dog"]))
    assert not is_labelled(questions([]))
    assert not is_labelled(choices([None], [None]))
    assert not is_labelled(statements(None))
    assert is_labelled(expressions())


def test_guesses() -> None:
    some = {0: {}, 1: {}, 2: {}}
    assert guess(questions(["dog"] * 9 + ["cat"], ["cat"], ["the dog"] * 2), some, None)[1] == {"answer": "dog"}
    assert guess(choices([0, 1, 1], [0, 0, 1]), some, "rationale_label")[2] == {"choice": 0}
    assert guess(statements("True", "False", "True"), some, None)[1] == {"label": "True"}
    predictions = {0: {"boxes": BOXES, "scores": np.zeros((4, 3))}}
    (first, again) = (guess(phrases(), predictions, None, seed=3)[0] for _ in range(2))
    assert first["scores"].shape == (4, 3)
    assert first["boxes"] is BOXES
    assert np.array_equal(first["scores"], again["scores"])
