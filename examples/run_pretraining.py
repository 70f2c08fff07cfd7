r"""Pre-train ViLBERT or VisualBERT on region features and captions.

Try a command out first: a few steps of a tiny model on built-in scenes, or on the data given:

    accelerate launch examples/run_pretraining.py --config vilbert --tiny --output_dir runs/tiny
    accelerate launch examples/run_pretraining.py examples/recipes/visualbert_coco.yaml --tiny \
        --regions features/coco --captions dataset_coco.json --train_split train --output_dir runs/tiny

A recipe has a paper's settings; what stands on the command line wins over it. The features come from
examples/convert_region_features.py, the tokenizer is a BERT's:

    accelerate launch examples/run_pretraining.py examples/recipes/vilbert_conceptual_captions.yaml \
        --regions features/cc --captions caption_train.json --from_bert bert-base-uncased --output_dir runs/vilbert

Two processes on a CPU, several GPUs; with the same `batch_size` the result is the same, dropout aside:

    accelerate launch --config_file examples/accelerate_configs/cpu_2.yaml examples/run_pretraining.py RECIPE ...
    accelerate launch --config_file examples/accelerate_configs/gpu_8.yaml examples/run_pretraining.py RECIPE ...

A run that was stopped continues exactly when started again with `--resume_from_checkpoint latest`:

    accelerate launch examples/run_pretraining.py RECIPE ... --save_steps 1000 --resume_from_checkpoint latest

Further pre-training of a saved model, as VisualBERT's task-specific pre-training:

    accelerate launch examples/run_pretraining.py examples/recipes/visualbert_task_specific.yaml \
        --from_pretrained runs/visualbert --regions features/vqa --captions questions.jsonl --output_dir runs/vqa

Needed are `--config` (or `--from_pretrained`), `--tokenizer` (or `--from_bert`, `--from_pretrained`), `--regions`,
`--captions` and `--output_dir`; with `--tiny` only `--config` and `--output_dir`. Each may stand in RECIPE.yaml,
a file of argument names and values; examples/recipes has those of the papers.

All arguments: `python examples/run_pretraining.py --help`.
"""

from __future__ import annotations

from collections.abc import Sequence

from training_vl.training_command import training_command


def run(words: Sequence[str]) -> None:
    """Train as the `words` of a command line say."""
    # Imported one after the other, so that --help and mistakes are answered before torch is there.
    from training_vl.arguments import parse_pretraining_arguments
    from training_vl.run_checks import check_pretraining

    arguments = parse_pretraining_arguments(words, description=__doc__)
    check_pretraining(arguments)

    from training_vl.pretraining import pretrain

    pretrain(arguments)


def main() -> None:
    """Read the command line and train."""
    training_command(run)


if __name__ == "__main__":
    main()
