"""What a study found, as a table, as sentences and as a chart: without and with an earlier training of the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .task_controls import EXCHANGED, GUESSING, MODEL


@dataclass(frozen=True)
class Score:
    """A score on the test examples, shares in [0, 1].

    Attributes:
        value: Of the model.
        low: Lower end of its 95 % interval.
        high: Upper end.
        exchanged: Of the same model when the images are exchanged.
        guessing: Of the most frequent answer, any box, or a random order.
    """

    value: float
    low: float
    high: float
    exchanged: float
    guessing: float

    def __str__(self) -> str:
        return f"{self.value:.1%} ({100 * self.low:.0f} to {100 * self.high:.0f})"


def read_score(path: Path, measure: str) -> Score:
    """A score that examples/run_evaluation.py or examples/run_retrieval.py wrote.

    Args:
        path: The file.
        measure: Name of the score.

    Returns:
        The score.

    Raises:
        ValueError: If the file has no such score.
    """
    content = json.loads(path.read_text(encoding="utf-8"))
    try:
        if "recalls" in content:
            row = content["recalls"][measure]
            return Score(row["model"], row["low"], row["high"], row["exchanged"], row["chance"])
        own = content[MODEL]
        ends = own[f"{measure}_low"], own[f"{measure}_high"]
        return Score(own[measure], *ends, content[EXCHANGED][measure], content[GUESSING][measure])
    except KeyError as error:
        raise ValueError(f"{path} has no {error}, which the score {measure!r} needs") from None


Rows = Mapping[str, Mapping[str, Mapping[str, Score]]]
"""By task, by model, and by what the model started from, the plainest start first."""


def table_lines(rows: Rows) -> list[str]:
    """The results as a Markdown table.

    Args:
        rows: The scores.

    Returns:
        Its lines: a row a task; for each model a column a start, and what the last gains over the first.
    """
    models = {model: list(starts) for model, starts in next(iter(rows.values())).items()}
    head = ["task", "guessing"]
    for model, starts in models.items():
        head += [*(f"{model} {start}" for start in starts), "gain"]
    lines = [_line(head), "|---" + "|---:" * (len(head) - 1) + "|"]
    for task, of_task in rows.items():
        cells = [task, f"{next(iter(next(iter(of_task.values())).values())).guessing:.1%}"]
        for starts in of_task.values():
            scores = list(starts.values())
            cells += [*map(str, scores), f"{100 * (scores[-1].value - scores[0].value):+.1f}"]
        lines.append(_line(cells))
    return lines


def verdict(rows: Rows) -> list[str]:
    """For every model, a sentence on which tasks gain from the first start to the last.

    Args:
        rows: The scores.

    Returns:
        Sentences that keep apart gains beyond the 95 % intervals, gains whose intervals overlap, and none.
    """
    sentences = []
    for model in next(iter(rows.values())):
        tasks: dict[str, list[str]] = {"pre-training helps on": [], "the intervals overlap on": [], "not on": []}
        for task, of_task in rows.items():
            first, *_, last = of_task[model].values()
            if last.value <= first.value:
                tasks["not on"].append(task)
            elif last.low <= first.high:
                tasks["the intervals overlap on"].append(task)
            else:
                tasks["pre-training helps on"].append(task)
        told = "; ".join(f"{kind} {', '.join(names)}" for kind, names in tasks.items() if names)
        sentences.append(f"{model}: {told}.")
    return sentences


def write_results(folder: Path, rows: Rows, lines: list[str], settings: Mapping[str, Any]) -> None:
    """Write `results.json` and `results.md`.

    Args:
        folder: Where to.
        rows: The scores.
        lines: Of the Markdown file.
        settings: What they were measured with, for the JSON file.
    """
    plain = {
        task: {model: {start: asdict(score) for start, score in starts.items()} for model, starts in of_task.items()}
        for task, of_task in rows.items()
    }
    content = {"settings": dict(settings), "scores": plain}
    (folder / "results.json").write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    (folder / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def draw_chart(path: Path, rows: Rows, title: str) -> None:
    """Draw a bar a score with its 95 % interval, and a line where guessing is.

    Args:
        path: The PNG file.
        rows: The scores.
        title: Above the chart.
    """
    # Only pictures need matplotlib (`pip install "modeling-vl[demo]"`).
    from matplotlib.figure import Figure

    models = list(next(iter(rows.values())))
    figure = Figure(figsize=(9, 1.2 + 0.55 * len(rows)), layout="constrained")
    figure.suptitle(title)
    panels = figure.subplots(1, len(models), sharex=True, sharey=True, squeeze=False)[0]
    for panel, model in zip(panels, models, strict=True):
        starts = list(next(iter(rows.values()))[model])
        height = 0.8 / len(starts)
        for number, start in enumerate(starts):
            scores = [of_task[model][start] for of_task in rows.values()]
            values = [100 * score.value for score in scores]
            ends = [
                [100 * (score.value - score.low) for score in scores],
                [100 * (score.high - score.value) for score in scores],
            ]
            places = [row + height * (number - (len(starts) - 1) / 2) for row in range(len(rows))]
            panel.barh(places, values, height, xerr=ends, label=start, error_kw={"linewidth": 0.8})
        guesses = [100 * next(iter(of_task[model].values())).guessing for of_task in rows.values()]
        edges = [row - 0.45 for row in range(len(rows))], [row + 0.45 for row in range(len(rows))]
        panel.vlines(guesses, *edges, colors="black", linestyles="dotted", label="guessing")
        panel.set_title(model)
        panel.set_xlim(0, 100)
        panel.set_xlabel("% of the test examples")
        panel.set_yticks(range(len(rows)), list(rows))
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(starts) + 1)
    figure.savefig(path, dpi=110)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
