"""Scores that the scripts of this project wrote, as a card shows them: as a table and as the Hub's `model-index`."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult

from training_vl.task_controls import EXCHANGED, GUESSING, MODEL

NONE = "none"
"""What stands for a model that was not measured."""


@dataclass(frozen=True)
class Measured:
    """One score. Numbers that the file does not give are None.

    Attributes:
        name: Of the score.
        value: Of the model.
        low: Lower end of its 95 % interval.
        high: Upper end.
        count: Number of examples.
        exchanged: Of the same model when the images are exchanged.
        chance: Of guessing.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    count: int | None = None
    exchanged: float | None = None
    chance: float | None = None


@dataclass(frozen=True)
class Measurement:
    """The scores of one file.

    Attributes:
        dataset: What the model was measured on, in words.
        scores: The scores.
        settings: What belongs to them, by name, such as where the boxes come from that could be chosen.
    """

    dataset: str
    scores: tuple[Measured, ...]
    settings: dict[str, str]


def read_measurements(words: Sequence[str]) -> list[Measurement]:
    """Read files of scores.

    Args:
        words: `FILE=what the model was measured on` for each, or the single word "none".

    Returns:
        What they say.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A word has another form, or a file is of none of the kinds that this project's scripts write.
    """
    return [] if list(words) == [NONE] else [_read(word) for word in words]


def _read(word: str) -> Measurement:
    file, equals, dataset = word.partition("=")
    if not equals or not dataset.strip():
        raise ValueError(
            f"scores must be FILE=what the model was measured on, such as scores.json='VQA v2, minival', or {NONE} "
            f"for a model that was not measured; got {word!r}"
        )
    path = Path(file)
    if not path.is_file():
        raise FileNotFoundError(f"scores: there is no file {path}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        scores, settings = _scores_of(content)
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} holds no scores as run_evaluation.py, run_retrieval.py, evaluate_pretraining.py or a fine-tuning "
            f"(best/scores.json) write them: {error!r}"
        ) from None
    if not scores:
        raise ValueError(f"{path} holds no scores")
    return Measurement(dataset.strip(), tuple(scores), settings)


def _scores_of(content: dict[str, Any]) -> tuple[list[Measured], dict[str, str]]:
    if MODEL in content:  # run_evaluation.py
        return _of_task(content)
    if "recalls" in content:  # run_retrieval.py
        arguments = content["arguments"]
        said = {name: arguments[name] for name in ("split", "num_images", "captions_per_image")}
        return _of_table(content["recalls"]), {name: str(value) for name, value in said.items() if value is not None}
    if "metric" in content:  # best/scores.json
        shares = {name: value for name, value in content["scores"].items() if name != "loss"}
        scores = [Measured(name, float(value)) for name, value in shares.items()]
        return scores, {"step": str(content["step"]), "chosen by": content["metric"]}
    return _of_table(content), {}  # evaluate_pretraining.py


def _of_task(content: dict[str, Any]) -> tuple[list[Measured], dict[str, str]]:
    own = content[MODEL]
    names = [name for name in own if f"{name}_low" in own and "." not in name]  # those of each type have a point
    scores = [
        Measured(
            name,
            own[name],
            own[f"{name}_low"],
            own[f"{name}_high"],
            own[f"{name}_count"],
            content.get(EXCHANGED, {}).get(name),
            content.get(GUESSING, {}).get(name),
        )
        for name in names
    ]
    return scores, {name: value for name, value in own.items() if isinstance(value, str) and "." not in name}


def _of_table(table: dict[str, dict[str, float]]) -> list[Measured]:
    return [
        Measured(name, row["model"], row.get("low"), row.get("high"), exchanged=row["exchanged"], chance=row["chance"])
        for name, row in table.items()
    ]


def eval_results(measurements: Sequence[Measurement], task: str) -> list[EvalResult]:
    """The scores as `model-index` has them.

    Args:
        measurements: What was read.
        task: What the model does, as an identifier such as "image-text-retrieval".

    Returns:
        An entry a score.
    """
    return [
        EvalResult(
            task_type=task,
            task_name=task.replace("-", " "),
            dataset_type=identifier(measurement.dataset),
            dataset_name=measurement.dataset,
            metric_type=identifier(score.name),
            metric_name=score.name,
            metric_value=score.value,
        )
        for measurement in measurements
        for score in measurement.scores
    ]


def identifier(words: str) -> str:
    """A text in lower case, with `_` for whatever is no letter, digit or point: "VQA v2, val" is "vqa_v2_val"."""
    return re.sub(r"[^\w.]+", "_", words.lower()).strip("_")


def table_lines(measurement: Measurement) -> list[str]:
    """The scores of one file as a Markdown table, in percent; a dash where the file gives no number."""

    def percent(share: float | None) -> str:
        return "–" if share is None else f"{100 * share:.1f}"

    lines = [
        "| score | model, % | 95 % interval | images exchanged | chance or guessing |",
        "|---|---:|---:|---:|---:|",
    ]
    for score in measurement.scores:
        interval = "–" if score.low is None else f"{percent(score.low)} to {percent(score.high)}"
        count = "" if score.count is None else f" (n = {score.count})"
        cells = percent(score.value), interval + count, percent(score.exchanged), percent(score.chance)
        lines.append(f"| {score.name} | {' | '.join(cells)} |")
    return lines
