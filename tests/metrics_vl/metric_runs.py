"""Runs every metric folder in one of two processes: `python -m tests.metrics_vl.metric_runs PROCESS CACHE`.

Prints lines of JSON: how a metric was run, its name and its scores (null in the second process) or its error.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from metrics_vl.box_recall import score_phrases, score_referring
from metrics_vl.gqa import score_gqa
from metrics_vl.labels import SNLI_VE_LABELS, score_labels
from metrics_vl.nlvr2 import score_nlvr2
from metrics_vl.recall import score_retrieval
from metrics_vl.vcr import score_vcr
from metrics_vl.vqa import score_vqa

METRICS = Path(__file__).resolve().parents[2] / "metrics_vl"
IDS = list("abcde")
BATCH_SIZE = 2


class Case(NamedTuple):
    """Five examples for one metric, and the pure function that scores them."""

    predictions: list
    references: list
    settings: dict[str, Any]
    score: Callable[[dict, dict], dict[str, Any]]


def question(answer: str, others: str, kind: str) -> dict[str, Any]:
    return {"answers": [answer] * 4 + others.split(), "answer_type": kind, "question_type": "what is"}


QUESTIONS = [
    question("red", "blue green", "other"),
    question("2", "two 3", "number"),
    question("yes", "no no", "yes/no"),
    question("a cat", "cat dog dog", "other"),
    question("none", "0 1", ""),
]
BOXES = [[0, 0, 10, 10], [0, 0, 10, 6], [50, 50, 60, 60]]
SCORES = np.random.Generator(np.random.Philox(7)).random((5, 3)).round(2).tolist()
PHRASES = {"boxes": [[BOXES[0]], [], [BOXES[2], BOXES[1]]], "types": [["people"], ["scene"], ["people", "other"]]}


def known(reference: dict[str, Any]) -> dict[str, Any]:
    return reference | {"answer_type": reference["answer_type"] or None}


def gqa_reference(reference: dict[str, Any]) -> dict[str, Any]:
    return {"answers": [reference["answer"]], "question_type": reference["question_type"] or None, "answer_type": None}


def phrases(reference: dict[str, list]) -> list[dict[str, list]]:
    return [dict(zip(reference, parts, strict=True)) for parts in zip(*reference.values(), strict=True)]


def each(function: Callable[[Any], Any], values: dict[str, Any]) -> dict[str, Any]:
    return {name: function(value) for name, value in values.items()}


CASES = {
    "vqa_accuracy": Case(
        ["red", "two", "no", "dog", "0"],
        QUESTIONS,
        {"variant": "simple"},
        lambda given, right: score_vqa(given, each(known, right), "simple"),
    ),
    "gqa_accuracy": Case(
        ["red", "no", "yes", "cat", "left"],
        [
            {"answer": answer, "question_type": kind, "answer_type": ""}
            for answer, kind in (
                ("red", "query"),
                ("no", "verify"),
                ("no", "logical"),
                ("dog", ""),
                ("left", "choose"),
            )
        ],
        {},
        lambda given, right: score_gqa(given, each(gqa_reference, right)),
    ),
    "vcr_accuracy": Case(
        [{"answer": answer, "rationale": rationale} for answer, rationale in ((0, 1), (1, 1), (2, 3), (3, 0), (0, 0))],
        [{"answer_label": 0, "rationale_label": rationale} for rationale in (1, 1, 3, 2, 1)],
        {},
        score_vcr,
    ),
    "nlvr2_accuracy": Case(
        ["True", "False", "True", "True", "False"],
        [{"label": "True", "group": group} for group in ("1-0", "1-0", "1-1", "1-1", "2-0")],
        {},
        lambda given, right: score_nlvr2(
            given, *(each(lambda reference, name=name: reference[name], right) for name in ("label", "group"))
        ),
    ),
    "snli_ve_accuracy": Case(
        ["neutral", "entailment", "contradiction", "neutral", "neutral"],
        ["neutral", "entailment", "entailment", "neutral", "entailment"],
        {},
        lambda given, right: score_labels(given, right, SNLI_VE_LABELS),
    ),
    "retrieval_recall": Case(
        SCORES,
        [0, 1, 2, 0, 1],
        {"ks": [1, 2]},
        lambda given, right: score_retrieval(
            np.array(list(given.values()), dtype=np.float32), list(right.values()), (1, 2)
        ),
    ),
    "referring_accuracy": Case(
        [{"boxes": BOXES, "scores": row} for row in SCORES[:4]] + [{"boxes": [], "scores": []}],
        [BOXES[0], BOXES[1], BOXES[2], [5, 5, 9, 9], BOXES[0]],
        {"proposals": "made up", "plus_one": False},
        lambda given, right: score_referring(given, right, proposals="made up", plus_one=False),
    ),
    "phrase_recall": Case(
        [{"boxes": BOXES, "scores": [row, row[::-1], row]} for row in SCORES],
        [PHRASES] * 5,
        {"proposals": "made up", "protocol": "merged_box", "ks": [1, 2]},
        lambda given, right: score_phrases(
            given, each(phrases, right), proposals="made up", protocol="merged_box", ks=(1, 2)
        ),
    ),
}


def rows_of(case: Case, numbers: Iterable[int]) -> dict[str, list]:
    """Columns for `evaluate` of the examples with these numbers."""
    columns = {"example_ids": IDS, "predictions": case.predictions, "references": case.references}
    numbers = list(numbers)
    return {name: [column[number] for number in numbers] for name, column in columns.items()}


def refuse(*address: object) -> None:
    raise OSError(f"a metric must not need the network, but connects to {address}")


def run(name: str, cache: str, process: int = 0, processes: int = 1) -> dict[str, Any] | None:
    """Scores of a metric that gets this process's share of the examples, batch by batch."""
    import evaluate  # reads the environment when it is imported, and takes long

    metric = evaluate.load(
        str(METRICS / name), process_id=process, num_process=processes, cache_dir=cache, experiment_id="test"
    )
    mine = range(process, len(IDS), processes)
    for start in range(0, len(mine), BATCH_SIZE):
        metric.add_batch(**rows_of(CASES[name], mine[start : start + BATCH_SIZE]))
    return metric.compute(**CASES[name].settings)


def run_with_an_example_twice(name: str, cache: str) -> str:
    """The error of a metric that gets an example twice."""
    import evaluate

    metric = evaluate.load(str(METRICS / name), cache_dir=cache)
    try:
        metric.compute(**rows_of(CASES[name], [0, 1, 2, 3, 4, 3]), **CASES[name].settings)
    except ValueError as error:
        return str(error)
    return "no error"


def main(process: int, cache: str) -> None:
    """The first of two processes does everything alone before both share the examples."""
    socket.socket.connect = refuse
    for name in CASES:
        if process == 0:
            print(json.dumps(["alone", name, run(name, cache)]))
            print(json.dumps(["twice", name, run_with_an_example_twice(name, cache)]))
        print(json.dumps(["shared", name, run(name, cache, process, 2)]))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
