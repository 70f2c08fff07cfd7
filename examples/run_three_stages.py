r"""VisualBERT's three stages on built-in scenes, and what each is worth for question answering.

    python examples/run_three_stages.py OUT

1. task-agnostic pre-training: masked words and image-text alignment on captions (paper, section 3.3),
2. task-specific pre-training: masked words on the texts of the task itself, here questions with their answers,
3. fine-tuning for the task.

The last stage is run after none, one or both of the others, with the same steps each time, and measured on scenes that
nothing was trained on or chosen by. A second start goes on where the first was stopped. On real data the chain is:

    accelerate launch examples/run_pretraining.py examples/recipes/visualbert_coco.yaml ... --output_dir runs/captions
    python examples/write_task_texts.py prepared/vqa texts.jsonl --split train
    accelerate launch examples/run_pretraining.py examples/recipes/visualbert_task_specific.yaml \
        --from_pretrained runs/captions --captions texts.jsonl ... --output_dir runs/texts
    accelerate launch examples/run_finetuning.py examples/recipes/vqa_visualbert.yaml \
        --from_pretrained runs/texts --data prepared/vqa ... --output_dir runs/vqa
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from datasets_vl.command_line import CommandLine, tells_mistakes

SCRIPTS = Path(__file__).resolve().parent
TASKS = ("vqa", "gqa", "vcr_qa", "vcr_qar", "snli_ve", "refcoco", "flickr30k_entities")
SCENES = {"train": 2000, "val": 200, "test": 200}
TINY_SCENES = {"train": 40, "val": 8, "test": 8}
TINY_STEPS = 2
MODEL = "VisualBERT"


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder for everything")
    parser.add_argument("--task", choices=TASKS, default="vqa", help="task of the last two stages (default: vqa)")
    parser.add_argument("--at_once", type=int, default=2, help="runs at the same time, one thread each (default: 2)")
    parser.add_argument("--tiny", action="store_true", help="try the command out: a few scenes, a few steps")
    return parser.parse_args()


def run_stages(arguments: argparse.Namespace) -> None:
    """Run all stages with the `arguments` of the command line, and print what each is worth."""
    # Imported here, so that --help and mistakes on the command line are answered at once.
    from training_vl.scene_study import SceneStudy, Start
    from training_vl.side_by_side import run_side_by_side
    from training_vl.study_table import table_lines, write_results

    started = time.monotonic()
    scenes, max_steps = (TINY_SCENES, TINY_STEPS) if arguments.tiny else (SCENES, None)
    study = SceneStudy(arguments.out, SCRIPTS, scenes, [arguments.task], max_steps=max_steps)
    study.prepare()
    (task,) = study.tasks
    captions = study.pretraining(MODEL)
    run_side_by_side([captions], "task-agnostic pre-training", at_once=arguments.at_once)
    fresh = Start("stage 3 alone", captions.output_dir, fresh=True)
    first = Start("stages 1, 3", captions.output_dir)
    texts = {
        "stages 2, 3": study.task_pretraining(task, f"{task.name} from fresh weights", fresh),
        "stages 1, 2, 3": study.task_pretraining(task, f"{task.name} after the captions", first),
    }
    run_side_by_side(list(texts.values()), "task-specific pre-training", at_once=arguments.at_once)
    second, both = (Start(name, job.output_dir) for name, job in texts.items())
    rows = study.compare({MODEL: [fresh, second, first, both]}, at_once=arguments.at_once)
    lines = table_lines(rows)
    write_results(arguments.out, rows, lines, study.settings)
    print("\n".join(["", *lines]))
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes")


def main() -> None:
    """Read the command line and run the stages."""
    with tells_mistakes(
        OSError, RuntimeError, ValueError, interrupted="interrupted; start again with the same arguments to go on"
    ):
        run_stages(parse_arguments())


if __name__ == "__main__":
    main()
