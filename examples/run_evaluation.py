r"""Measure a fine-tuned ViLBERT or VisualBERT on a split of its task, and write its predictions.

    python examples/run_evaluation.py runs/vilbert-vqa --task vqa --data prepared/vqa --regions features/coco \
        --split val --output predictions.json

Beside the model's scores stand those of a control whose images are exchanged, and those of guessing (the most frequent
answer of the split, or any box). A score that does not fall in the control comes from the text alone, or where boxes
are chosen from these and the text. Predictions go to `--output`, in the format of the benchmark's server or script; a
split that does not say what is right, such as a test split, only gets these.

VCR's leaderboard wants the rationales for each of the answers, and the answers' own probabilities beside them. Two
runs write that file, the second with the predictions of the first; on a labelled split it also prints Q->AR:

    python examples/run_evaluation.py runs/vcr-qa --task vcr_qa ... --split test --output answers.csv
    python examples/run_evaluation.py runs/vcr-qar --task vcr_qar ... --split test --vcr_answers answers.csv \
        --output vcr.csv

An exported file (`examples/export.py`) is measured in the place of the model it was made from:

    python examples/run_evaluation.py runs/vilbert-vqa --exported exported-int8/vqa.onnx --task vqa ...

Several processes share the work: `accelerate launch ... examples/run_evaluation.py ...`, as in training.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from datasets_vl.command_line import CommandLine, tells_mistakes


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    parser.add_argument("model", help="folder or Hub id of a model and its processor")
    parser.add_argument("--task", required=True, help="as in training, such as vqa")
    parser.add_argument("--data", required=True, help="folder written by examples/prepare_task.py")
    parser.add_argument("--regions", required=True, help="folder of Parquet shards of region features")
    parser.add_argument("--split", default="val", help="split to measure on (default: val)")
    parser.add_argument("--output", type=Path, help="file for the predictions, in the benchmark's format")
    parser.add_argument("--scores", type=Path, help="JSON file for the scores")
    parser.add_argument("--vcr_answers", type=Path, help="predictions of vcr_qa on the same split, for vcr_qar")
    parser.add_argument("--max_text_length", type=int, help="as in training (default: that of the task)")
    parser.add_argument("--answer_separator", default="", help="as in training, for vcr_qar (default: none)")
    parser.add_argument("--task_token", type=int, help="row of the task token table, for a ViLBERT that has one")
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--num_workers", type=int, default=0)
    parser.add_argument("--cache_dir", help="where the memory-mapped copy of the features goes (default: beside them)")
    parser.add_argument("--seed", type=int, default=0, help="of the exchange of images in the control")
    parser.add_argument("--exported", type=Path, help="file exported from the model to measure, on the CPU")
    parser.add_argument("--use_cpu", action="store_true", help="stay on the CPU though there is an accelerator")
    return parser.parse_args()


def main() -> None:
    """Measure; errors that the arguments caused are told in one line."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    arguments = parse_arguments()
    with tells_mistakes(OSError, RuntimeError, ValueError, interrupted="interrupted; start again to measure"):
        # Imported here, so that --help and mistakes on the command line are answered at once.
        from transformers.utils.logging import disable_progress_bar

        from training_vl.evaluation_run import Evaluation

        disable_progress_bar()
        Evaluation(arguments).run()


if __name__ == "__main__":
    main()
