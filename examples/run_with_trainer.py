r"""Fine-tune ViLBERT or VisualBERT for a task with transformers' Trainer.

The arguments and recipes are those of examples/run_finetuning.py, and so are, with one process, the losses to the last
bit; what is saved, logged and resumed is the Trainer's. It suits those who want its callbacks and integrations:

    accelerate launch examples/run_with_trainer.py examples/recipes/vqa_vilbert.yaml \
        --data prepared/vqa --regions features/coco --from_pretrained runs/vilbert --output_dir runs/vilbert-vqa

A stopped run continues exactly with `--resume_from_checkpoint latest`. The best model by the task's metric is loaded
at the end and saved in `output_dir`. With the Trainer `save_steps` must be a multiple of `eval_steps`.
"""

from __future__ import annotations

from collections.abc import Sequence

from training_vl.training_command import training_command


def run(words: Sequence[str]) -> None:
    """Train as the `words` of a command line say."""
    # Imported one after the other, so that --help and mistakes are answered before torch is there.
    from training_vl.run_checks import check_run
    from training_vl.task_arguments import parse_task_arguments

    arguments = parse_task_arguments(words, description=__doc__)
    check_run(arguments)

    from training_vl.task_trainer import train_with_trainer

    train_with_trainer(arguments)


def main() -> None:
    """Read the command line and train."""
    training_command(run)


if __name__ == "__main__":
    main()
