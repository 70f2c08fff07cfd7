r"""Write the texts of a prepared task as captions: what VisualBERT's task-specific pre-training reads.

    python examples/write_task_texts.py prepared/vqa texts.jsonl --split train
    accelerate launch examples/run_pretraining.py examples/recipes/visualbert_task_specific.yaml \
        --from_pretrained runs/visualbert --regions features/coco --captions texts.jsonl --output_dir runs/vqa-texts
    accelerate launch examples/run_finetuning.py examples/recipes/vqa_visualbert.yaml \
        --from_pretrained runs/vqa-texts --data prepared/vqa --regions features/coco --output_dir runs/vqa

A question is followed by its right answer (and that by its right rationale), so that the answer is among the words to
predict; take no split whose answers are to be predicted later.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets_vl.command_line import CommandLine, tells_mistakes
from datasets_vl.tasks.table import read_task_table
from datasets_vl.tasks.task_texts import write_pretraining_texts


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    parser.add_argument("data", type=Path, help="folder written by examples/prepare_task.py")
    parser.add_argument("texts", type=Path, help="file to write, ending in .jsonl")
    parser.add_argument("--split", default="train", help="split to take (default: train)")
    arguments = parser.parse_args()
    if arguments.texts.suffix != ".jsonl":
        parser.error(f"texts must end in .jsonl, which says how they are read; got {arguments.texts}")
    return arguments


def main() -> None:
    """Write the file and say how much is in it."""
    arguments = parse_arguments()
    with tells_mistakes(OSError, ValueError, interrupted="interrupted; start again with the same arguments"):
        count = write_pretraining_texts(read_task_table(arguments.data, arguments.split), arguments.texts)
        print(f"{count} texts in {arguments.texts}")


if __name__ == "__main__":
    main()
