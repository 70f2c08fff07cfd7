"""Fine-tune ViLBERT or VisualBERT for a task with transformers' Trainer.

The arguments and recipes are those of examples/run_finetuning.py, and so are, with one process, the losses to the last
bit; what is saved, logged and resumed is the Trainer's. It suits those who want its callbacks and integrations:

    accelerate launch examples/run_with_trainer.py examples/recipes/vqa_vilbert.yaml \
        --data prepared/vqa --regions features/coco --from_pretrained runs/vilbert --output_dir runs/vilbert-vqa

A stopped run continues exactly with `--resume_from_checkpoint latest`. The best model by the task's metric is loaded
at the end and saved in `output_dir`. With the Trainer `save_steps` must be a multiple of `eval_steps`.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from transformers.trainer_utils import get_last_checkpoint
from transformers.utils.logging import disable_progress_bar

from training_vl.checkpointing import LATEST
from training_vl.finetuning import check_output_dir, write_predictions
from training_vl.task_arguments import TaskRunArguments, parse_task_arguments
from training_vl.task_setup import set_up_task
from training_vl.task_trainer import TaskTrainer


def train(arguments: TaskRunArguments) -> TaskTrainer:
    """Train, save the best model, and write its predictions for the validation split."""
    arguments = check_output_dir(arguments)
    checkpoint = _checkpoint(Path(arguments.training.output_dir), arguments.training.resume_from_checkpoint)
    parts = set_up_task(arguments.model, arguments.data)
    trainer = TaskTrainer(arguments, parts)
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    if parts.validation is not None:
        write_predictions(arguments, parts, trainer.model, trainer.accelerator)
    return trainer


def _checkpoint(output_dir: Path, wanted: str | None) -> str | None:
    existing = get_last_checkpoint(str(output_dir)) if output_dir.is_dir() else None
    if existing and wanted is None:
        raise ValueError(
            f"{output_dir} holds checkpoints of an earlier run, the last one {Path(existing).name}: continue it with "
            "--resume_from_checkpoint latest, or choose another output_dir"
        )
    return existing if wanted == LATEST else wanted


def main() -> None:
    """Read the arguments and train; errors that the arguments caused are told in one line."""
    disable_progress_bar()  # saving a checkpoint would draw one into that of the training
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        train(parse_task_arguments(sys.argv[1:]))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; start again with --resume_from_checkpoint latest to continue after the last checkpoint")


if __name__ == "__main__":
    main()
