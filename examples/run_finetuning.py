r"""Fine-tune ViLBERT or VisualBERT for a task: questions, choices, statements, expressions or phrases about images.

Try a command out first: a few steps of a tiny model on built-in scenes, or on the data given:

    accelerate launch examples/run_finetuning.py --task vqa --config vilbert --tiny --output_dir runs/tiny

The annotations come from examples/prepare_task.py, the features from examples/convert_region_features.py, the model
from examples/run_pretraining.py or examples/convert_checkpoint.py. A recipe has a paper's settings; what stands on the
command line wins over it:

    accelerate launch examples/run_finetuning.py examples/recipes/vqa_vilbert.yaml \
        --data prepared/vqa --regions features/coco --from_pretrained runs/vilbert --output_dir runs/vilbert-vqa

The task's score on the validation split is measured once an epoch. The best model is saved in `output_dir`, with its
predictions for that split in the benchmark's own format; examples/run_evaluation.py measures it on any split.
`--early_stopping_patience 3` stops a run that no longer gets better.

Retrieval trains on caption files instead of prepared annotations; examples/run_retrieval.py measures it:

    accelerate launch examples/run_finetuning.py examples/recipes/retrieval_vilbert.yaml \
        --captions dataset_flickr30k.json --regions features/flickr30k --from_pretrained runs/vilbert --output_dir ...

Several processes, and continuing a stopped run exactly, go as in examples/run_pretraining.py:

    accelerate launch --config_file examples/accelerate_configs/gpu_8.yaml examples/run_finetuning.py RECIPE ...
    accelerate launch examples/run_finetuning.py RECIPE ... --resume_from_checkpoint latest

All arguments: `python examples/run_finetuning.py --help`, and with `--task retrieval --help` those of retrieval.
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
        from training_vl.retrieval_training import fine_tune_retrieval

        fine_tune_retrieval(arguments)
    else:
        from training_vl.finetuning import fine_tune

        fine_tune(arguments)


def main() -> None:
    """Read the command line and train."""
    training_command(run)


if __name__ == "__main__":
    main()
