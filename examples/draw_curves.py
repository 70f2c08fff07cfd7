r"""Draw learning curves of one or several runs: training loss, and scores on the validation split.

    python examples/draw_curves.py curves.png ViLBERT=runs/flickr8k-vilbert VisualBERT=runs/flickr8k-visualbert \
        --scores text_to_image_recall_at_1 text_to_image_recall_at_5

A run is a folder written by one of the training scripts; its `log.jsonl` has the numbers and their names.
"""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from datasets_vl.command_line import CommandLine, tells_mistakes

LOSS = "train/loss"
EVALUATION = "eval/"


class Curve(NamedTuple):
    """A number over the steps of a run.

    Attributes:
        steps: When it was logged.
        values: What it was.
    """

    steps: list[int]
    values: list[float]


def read_curves(folder: Path) -> dict[str, Curve]:
    """All numbers that a run logged.

    Args:
        folder: Of the run.

    Returns:
        Curves by name.

    Raises:
        FileNotFoundError: If there is no log.
    """
    path = folder / "log.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is no folder of a training run: it has no {path.name}")
    curves: dict[str, Curve] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        for name in entry.keys() - {"step"}:
            steps, values = curves.setdefault(name, Curve([], []))
            steps.append(entry["step"])
            values.append(entry[name])
    return curves


def draw(path: Path, runs: dict[str, Path], scores: list[str]) -> None:
    """Draw the curves.

    Args:
        path: The picture.
        runs: Folders by what the runs are called.
        scores: Names of the scores to draw, without "eval/".

    Raises:
        FileNotFoundError: If a folder holds no log.
        ValueError: If a run has not logged a score; the message lists those it has.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, folder) in enumerate(runs.items()):
        curves = read_curves(folder)
        left.plot(*curves[LOSS], color=f"C{number}", label=name)
        for score, style in zip(scores, cycle(("-", "--", ":", "-.")), strict=False):
            if EVALUATION + score not in curves:
                known = sorted(key.removeprefix(EVALUATION) for key in curves if key.startswith(EVALUATION))
                raise ValueError(f"{folder} has not logged {score!r} but {', '.join(known) or 'no scores'}")
            label = f"{name}, {score.replace('_', ' ')}"
            right.plot(*curves[EVALUATION + score], style, color=f"C{number}", marker="o", markersize=3, label=label)
    left.set(xlabel="step", ylabel="training loss")
    right.set(xlabel="step", ylabel="validation", ylim=(0, 1))
    left.legend(frameon=False)
    right.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Read the command line and draw."""
    parser = CommandLine(description=__doc__)
    parser.add_argument("picture", type=Path, help="file to write, such as curves.png")
    parser.add_argument("runs", nargs="+", metavar="NAME=FOLDER", help="runs and what to call them")
    parser.add_argument("--scores", nargs="+", default=[], help="scores of the validation split to draw")
    arguments = parser.parse_args()
    runs = {}
    for run in arguments.runs:
        name, _, folder = run.rpartition("=")
        if not name:
            parser.error(f"a run is NAME=FOLDER, got {run!r}")
        runs[name] = Path(folder)
    with tells_mistakes(OSError, ValueError, interrupted="interrupted; nothing was drawn"):
        draw(arguments.picture, runs, arguments.scores)


if __name__ == "__main__":
    main()
