"""Pre-train ViLBERT or VisualBERT on region features and captions.

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

All arguments: `python examples/run_pretraining.py --help`.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from accelerate.utils import set_seed
from transformers.utils.logging import disable_progress_bar

from training_vl.arguments import PreTrainingArguments, parse_pretraining_arguments
from training_vl.checkpointing import find_checkpoint
from training_vl.data_setup import build_collator, build_training_data, build_validation_batches
from training_vl.distributed import make_accelerator
from training_vl.model_setup import build_model, load_config, load_model, load_processor
from training_vl.pretraining_loop import PreTraining, divide_batch
from training_vl.tiny_run import shrink


def pretrain(arguments: PreTrainingArguments) -> None:
    """Train from the arguments to the saved model."""
    if arguments.training.output_dir is None:
        raise ValueError("where shall the model go? Give output_dir: a folder")
    if arguments.training.tiny:
        arguments = shrink(arguments)
    training = arguments.training
    config = load_config(arguments.model)
    accelerator = make_accelerator(
        config,
        mixed_precision=training.mixed_precision,
        use_cpu=training.use_cpu,
        expected_processes=training.expected_processes,
    )
    place = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
    checkpoint = find_checkpoint(Path(training.output_dir), training.resume_from_checkpoint)
    processor = load_processor(arguments.model, config)
    collator = build_collator(arguments.data, config, processor)
    micro_batch = divide_batch(training, accelerator.num_processes).micro_batch
    data = build_training_data(arguments.data, config, collator, batch_size=micro_batch, seed=training.seed, **place)
    validation = build_validation_batches(
        arguments.data,
        config,
        collator,
        batch_size=training.eval_batch_size or micro_batch,
        seed=training.seed,
        **place,
    )
    set_seed(training.seed)
    model = load_model(checkpoint, arguments.model) if checkpoint else build_model(arguments.model, config)
    # Every process drops out other units; a resumed run restores these states.
    set_seed(training.seed, device_specific=True)
    run = PreTraining(arguments, model, processor, data, accelerator, validation=validation, checkpoint=checkpoint)
    run.run()
    accelerator.end_training()


def main() -> None:
    """Read the arguments and train; errors that the arguments caused are told in one line."""
    disable_progress_bar()  # saving a checkpoint would draw one into that of the training
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        pretrain(parse_pretraining_arguments(sys.argv[1:]))
    except (ImportError, OSError, RuntimeError, ValueError, FloatingPointError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted; start again with --resume_from_checkpoint latest to continue after the last checkpoint")


if __name__ == "__main__":
    main()
