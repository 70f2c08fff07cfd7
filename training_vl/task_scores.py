"""Predictions held against what is known of a split, with the metric of each benchmark."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

import metrics_vl
from datasets_vl.tasks.answer_vocabulary import main_answer
from datasets_vl.tasks.records import Record
from datasets_vl.tasks.table import TaskTable
from metrics_vl import Share

from .task_kinds import Prediction

Predictions = Mapping[int, Prediction]
"""By number of the record."""

Scores = dict[str, Any]
"""What a function of `metrics_vl` returns."""

Score = Callable[[TaskTable, Predictions, str], Scores]
"""Scores the predictions for records of a table. The text says where the boxes come from that could be chosen."""


def score_vqa(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """`metrics_vl.score_vqa` of the `predictions` for `table`; `proposals` are not looked at."""
    return metrics_vl.score_vqa(*_by_example_id(table, predictions, "answer", lambda record: record))


def score_gqa(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """`metrics_vl.score_gqa` of the `predictions` for `table`; `proposals` are not looked at."""
    return metrics_vl.score_gqa(*_by_example_id(table, predictions, "answer", lambda record: record))


def score_answers(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """Q->A accuracy of the `predictions` for `table`; `proposals` are not looked at."""
    return _score_choices(table, predictions, "answer_label")


def score_rationales(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """QA->R accuracy of the `predictions` for `table`; `proposals` are not looked at."""
    return _score_choices(table, predictions, "rationale_label")


def score_both_choices(
    table: TaskTable, answers: Mapping[str, Sequence[float]], rationales: Sequence[Predictions]
) -> Scores:
    """VCR's three accuracies, `metrics_vl.score_vcr`.

    Args:
        table: The questions, with what is right.
        answers: Probabilities of the answers by example id.
        rationales: For each answer in turn the predictions of the rationale given that answer; those given the right
            one count.

    Returns:
        `answer`, `rationale` and `answer_and_rationale`.

    Raises:
        ValueError: If a question has no probabilities of its answers.
    """
    chosen, right = {}, {}
    for index in rationales[0]:
        record = table.record(index)
        name = record["example_id"]
        if name not in answers:
            raise ValueError(f"question {name!r} has rationales, but no probabilities of its answers")
        rationale = rationales[record["answer_label"]][index]["choice"]
        chosen[name] = {"answer": int(np.argmax(answers[name])), "rationale": rationale}
        right[name] = record
    return metrics_vl.score_vcr(chosen, right)


def score_classes(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """`metrics_vl.score_labels` of the `predictions` for `table`; `proposals` are not looked at."""
    pairs = _by_example_id(table, predictions, "label", lambda record: record["label"])
    return metrics_vl.score_labels(*pairs, table.labels)


def score_nlvr2(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """`metrics_vl.score_nlvr2` of the `predictions` for `table`; `proposals` are not looked at."""
    pairs = _by_example_id(table, predictions, "label", lambda record: record["label"])
    _, groups = _by_example_id(table, predictions, "label", lambda record: record["group"])
    return metrics_vl.score_nlvr2(*pairs, groups)


def score_expressions(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """`metrics_vl.score_referring` of the `predictions` for `table`, with the source of the `proposals`."""
    pairs = _by_example_id(table, predictions, None, lambda record: record["box"])
    return metrics_vl.score_referring(*pairs, proposals=proposals)


def score_phrases(table: TaskTable, predictions: Predictions, proposals: str) -> Scores:
    """`metrics_vl.score_phrases` of the `predictions` for `table`, with the source of the `proposals`."""
    boxes, phrases = _by_example_id(table, predictions, None, lambda record: record["phrases"])
    # Scores are padded to the longest list of phrases of a batch.
    own = {name: {**box, "scores": box["scores"][: len(phrases[name])]} for name, box in boxes.items()}
    return metrics_vl.score_phrases(own, phrases, proposals=proposals)


def main_shares(scores: Mapping[str, Any]) -> dict[str, float]:
    """The shares of `scores` of all examples, without those of each type, as plain numbers."""
    return {name: score.value for name, score in scores.items() if isinstance(score, Share)}


def is_labelled(table: TaskTable) -> bool:
    """Whether the records of `table` say what is right; those of a test split do not."""
    record = table.record(0)
    if table.kind == "question_answering":
        return bool(record["answers"])
    known = {"multiple_choice": "answer_label", "classification": "label"}.get(table.kind)
    return known is None or record[known] is not None


def guess(table: TaskTable, predictions: Predictions, label_field: str | None, seed: int = 0) -> dict[int, Prediction]:
    """What one gets who looks at neither text nor image: always the most frequent answer of the split, or any box.

    Args:
        table: The records, with what is right.
        predictions: Of a model, for the same examples; boxes are drawn from those it could choose.
        label_field: What a choice is scored against: "answer_label" or "rationale_label".
        seed: Of the drawn boxes.

    Returns:
        Predictions of the same form.
    """
    if table.kind in ("referring_expressions", "phrase_grounding"):
        rng = np.random.default_rng(seed)
        return {
            index: {"boxes": prediction["boxes"], "scores": rng.random(np.shape(prediction["scores"]))}
            for index, prediction in predictions.items()
        }
    name, right = {
        "question_answering": ("answer", main_answer),
        "multiple_choice": ("choice", lambda record: record[label_field]),
        "classification": ("label", lambda record: record["label"]),
    }[table.kind]
    ((most_frequent, _),) = Counter(right(table.record(index)) for index in predictions).most_common(1)
    return {index: {name: most_frequent} for index in predictions}


def _score_choices(table: TaskTable, predictions: Predictions, label_field: str) -> Scores:
    chosen, right = _by_example_id(table, predictions, "choice", lambda record: str(record[label_field]))
    chosen = {name: str(choice) for name, choice in chosen.items()}
    scores = metrics_vl.score_labels(chosen, right, sorted({*chosen.values(), *right.values()}))
    return {"accuracy": scores["accuracy"]}  # the order of the choices means nothing


def _by_example_id(
    table: TaskTable, predictions: Predictions, field: str | None, right: Callable[[Record], Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Predictions (or one field of them) and right answers by the benchmark's names of the examples."""
    records = {index: table.record(index) for index in predictions}
    given = {
        records[index]["example_id"]: prediction if field is None else prediction[field]
        for index, prediction in predictions.items()
    }
    return given, {record["example_id"]: right(record) for record in records.values()}
