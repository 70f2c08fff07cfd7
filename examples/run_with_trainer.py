r"""Fine-tune ViLBERT or VisualBERT for a task with transformers' Trainer.

The arguments and recipes are those of examples/run_finetuning.py, and so are, with one process, the losses to the last
bit; what is saved, logged and resumed is the Trainer's. It suits those who want its callbacks and integrations:

    accelerate launch examples/run_with_trainer.py examples/recipes/vqa_vilbert.yaml \
        --data prepared/vqa --regions features/coco --from_pretrained runs/vilbert --output_dir runs/vilbert-vqa

A stopped run continues exactly with `--resume_from_checkpoint latest`. The best model by the task's metric is loaded
at the end and saved in `output_dir`; of retrieval, as there, the last one without `--early_stopping_patience`. Where
the best model is kept the Trainer wants `save_steps` to be a multiple of `eval_steps`.

All arguments: `python examples/run_with_trainer.py --help`, and with `--task retrieval --help` those of retrieval.
"""

from __future__ import annotations

from collections.abc import Sequence

from training_vl.training_command import training_command


def run(words: Sequence[str]) -> None:
    """Train as the `words` of a command line say."""
    # Imported one after the other, so that --help and mistakes are answered before torch is there.
    from training_vl.retrieval_arguments import TASK, parse_finetuning_arguments
    from training_vl.run_checks import check_run

    arguments = parse_finetuning_arguments(words, description=__doc__)
    check_run(arguments)
    if arguments.data.task == TASK:
        from training_vl.retrieval_trainer import train_retrieval_with_trainer

        train_retrieval_with_trainer(arguments)
    else:
        from training_vl.task_trainer import train_with_trainer

        train_with_trainer(arguments)


def main() -> None:
    """Read the command line and train."""
    training_command(run)


if __name__ == "__main__":
    main()
