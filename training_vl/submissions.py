"""Predictions in the formats that the benchmarks' servers and scripts read."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datasets_vl.tasks.table import TaskTable

from .task_kinds import Prediction
from .task_scores import Predictions

Write = Callable[[Path, TaskTable, Predictions], None]
"""Writes the predictions for records of a table into a file."""

BOXES_KEPT = 10
"""Boxes of a phrase that are written: as many as R@10 looks at."""


def write_vqa(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write `predictions` for `table` to `path` as VQA v2 wants them: `[{"question_id", "answer"}, ...]`."""
    rows = named(table, predictions)
    _write_json(path, [{"question_id": _number(name), "answer": one["answer"]} for name, one in rows])


def write_gqa(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write `predictions` for `table` to `path` as GQA wants them: `[{"questionId", "prediction"}, ...]`."""
    _write_json(path, [{"questionId": name, "prediction": one["answer"]} for name, one in named(table, predictions)])


def write_nlvr2(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write `predictions` for `table` to `path` as NLVR2's `metrics.py` reads them: lines `identifier,prediction`."""
    _write_csv(path, ([name, one["label"]] for name, one in named(table, predictions)))


def write_answer_probabilities(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write VCR's Q->A `predictions` for `table` to `path`: columns `annot_id`, `answer_0`, ..., probabilities."""
    _write_probabilities(path, "answer", table, predictions)


def write_rationale_probabilities(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write VCR's QA->R `predictions` for `table` to `path`: columns `annot_id`, `rationale_0`, ..., probabilities."""
    _write_probabilities(path, "rationale", table, predictions)


def write_vcr(
    path: Path, table: TaskTable, answers: Mapping[str, Sequence[float]], rationales: Sequence[Predictions]
) -> None:
    """Write the csv of VCR's leaderboard (`eval_for_leaderboard.py` of rowanz/r2c).

    Args:
        path: The file.
        table: The questions.
        answers: Probabilities of the answers by `annot_id`, see `read_answer_probabilities`.
        rationales: For each answer in turn the predictions of the rationale given that answer.

    Raises:
        ValueError: If a question has no probabilities of its answers.
    """
    rows: list[list[Any]] = []
    of_all = [dict(named(table, predictions)) for predictions in rationales]
    for name, first in of_all[0].items():
        if name not in answers:
            raise ValueError(f"question {name!r} has rationales, but no probabilities of its answers")
        if not rows:
            columns = [f"answer_{number}" for number in range(len(answers[name]))]
            columns += [
                f"rationale_conditioned_on_a{answer}_{number}"
                for answer in range(len(of_all))
                for number in range(len(first["scores"]))
            ]
            rows.append(["annot_id", *columns])
        rows.append([name, *answers[name], *(score for given in of_all for score in given[name]["scores"])])
    _write_csv(path, rows)


def read_answer_probabilities(path: Path) -> dict[str, list[float]]:
    """What `write_answer_probabilities` wrote.

    Args:
        path: The file.

    Returns:
        Probabilities of the answers by `annot_id`.

    Raises:
        ValueError: If it is another file.
    """
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = [*csv.reader(file)] or [[]]
    wanted = ["annot_id", *(f"answer_{number}" for number in range(len(header) - 1))]
    if header != wanted or len(header) < 2:
        raise ValueError(f"{path} must have the columns annot_id, answer_0, ..., got {', '.join(header)}")
    return {name: [float(score) for score in scores] for name, *scores in rows}


def write_classes(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write `predictions` for `table` to `path`, JSON lines of `example_id`, `label` and its probability `score`."""
    _write_json_lines(path, ({"example_id": name, **one} for name, one in named(table, predictions)))


def write_boxes(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write the best box of every expression, JSON lines.

    Args:
        path: The file.
        table: The expressions.
        predictions: Boxes with scores.
    """
    _write_json_lines(
        path,
        ({"example_id": name, **_best(one["boxes"], one["scores"], 1)[0]} for name, one in named(table, predictions)),
    )


def write_phrase_boxes(path: Path, table: TaskTable, predictions: Predictions) -> None:
    """Write the best boxes of every phrase, JSON lines.

    Args:
        path: The file.
        table: The sentences.
        predictions: Boxes with scores.
    """
    rows = []
    for index, prediction in predictions.items():
        record = table.record(index)
        phrases = [
            {"phrase_id": phrase["phrase_id"], "ranked": _best(prediction["boxes"], scores, BOXES_KEPT)}
            for phrase, scores in zip(record["phrases"], prediction["scores"], strict=False)
        ]
        rows.append({"example_id": record["example_id"], "phrases": phrases})
    _write_json_lines(path, rows)


def named(table: TaskTable, predictions: Predictions) -> list[tuple[str, Prediction]]:
    """The `predictions` with the names that the benchmark of `table` gives its examples."""
    names = table.rows.column("example_id")
    return [(names[index].as_py(), prediction) for index, prediction in predictions.items()]


def _best(boxes: np.ndarray, scores: np.ndarray, count: int) -> list[dict[str, Any]]:
    order = np.argsort(-np.asarray(scores), kind="stable")[:count]
    return [{"box": np.asarray(boxes)[place].tolist(), "score": float(scores[place])} for place in order]


def _write_probabilities(path: Path, what: str, table: TaskTable, predictions: Predictions) -> None:
    rows = named(table, predictions)
    header = ["annot_id", *(f"{what}_{number}" for number in range(len(rows[0][1]["scores"])))]
    _write_csv(path, [header, *([name, *one["scores"]] for name, one in rows)])


def _write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def _write_json(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text(json.dumps(rows) + "\n", encoding="utf-8")


def _write_json_lines(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _number(name: str) -> int | str:
    return int(name) if name.isdecimal() else name
