"""What pre-training is worth: every task on built-in scenes, from scratch and after pre-training, for both models.

    python examples/compare_scene_tasks.py OUT

1. writes scenes, with their tasks in the files of the official benchmarks; converts and prepares them,
2. pre-trains a small ViLBERT and a small VisualBERT on the captions, side by side,
3. fine-tunes each for every task twice, from fresh weights and from the pre-trained ones, with the same steps,
4. measures each on scenes that nothing was trained on or chosen by, beside guessing and exchanged images.

Every run is a command that works on real data as well; it stands at the beginning of the run's log, beside the run's
folder in OUT. A second start goes on where the first was stopped. OUT then holds `results.md`, `results.json` and
`results.png`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from datasets_vl.command_line import CommandLine, tells_mistakes

SCRIPTS = Path(__file__).resolve().parent
SCENES = {"train": 2000, "val": 200, "test": 200}
TINY_SCENES = {"train": 40, "val": 8, "test": 8}
TINY_STEPS = 2
NAMES = (
    "vqa", "gqa", "vcr_qa", "vcr_qar", "nlvr2", "snli_ve", "refcoco", "flickr30k_entities", "retrieval",
)  # fmt: skip


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for everything")
    parser.add_argument("--tasks", nargs="+", choices=NAMES, default=NAMES, metavar="TASK", help=", ".join(NAMES))
    parser.add_argument("--models", nargs="+", choices=("ViLBERT", "VisualBERT"), default=("ViLBERT", "VisualBERT"))
    parser.add_argument("--at_once", type=int, default=2, help="runs at the same time, one thread each (default: 2)")
    parser.add_argument("--tiny", action="store_true", help="try the command out: a few scenes, a few steps")
    return parser.parse_args()


def compare(arguments: argparse.Namespace) -> None:
    """Go the whole way with the `arguments` of the command line, and print the table."""
    # Imported here, so that --help and mistakes on the command line are answered at once.
    from training_vl.scene_study import SceneStudy, Start
    from training_vl.side_by_side import run_side_by_side
    from training_vl.study_table import draw_chart, table_lines, verdict, write_results

    started = time.monotonic()
    scenes, max_steps = (TINY_SCENES, TINY_STEPS) if arguments.tiny else (SCENES, None)
    study = SceneStudy(arguments.out, SCRIPTS, scenes, arguments.tasks, max_steps=max_steps)
    study.prepare()
    trunks = {model: study.pretraining(model) for model in arguments.models}
    run_side_by_side(list(trunks.values()), "pre-training", at_once=arguments.at_once)
    starts = {
        model: [Start("from scratch", trunk.output_dir, fresh=True), Start("pre-trained", trunk.output_dir)]
        for model, trunk in trunks.items()
    }
    rows = study.compare(starts, at_once=arguments.at_once)
    lines = [*table_lines(rows), "", *verdict(rows)]
    write_results(arguments.out, rows, lines, study.settings)
    draw_chart(arguments.out / "results.png", rows, f"Built-in scenes, {scenes['test']} to test on")
    print("\n".join(["", *lines]))
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes; chart: {arguments.out / 'results.png'}")


def main() -> None:
    """Read the command line and compare."""
    with tells_mistakes(
        OSError, RuntimeError, ValueError, interrupted="interrupted; start again with the same arguments to go on"
    ):
        compare(parse_arguments())


if __name__ == "__main__":
    main()
