"""A pre-training run, from the arguments to the saved model."""

from __future__ import annotations

import shlex
from pathlib import Path

from accelerate.utils import set_seed

from .arguments import DataArguments, RunArguments
from .checkpointing import find_checkpoint
from .data_setup import build_collator, build_training_data, build_validation_batches
from .distributed import leaves_parameters_unused, training_accelerator
from .model_setup import load_config, load_processor, starting_model
from .pretraining_loop import pretraining_loop
from .tiny_run import shrink
from .training_log import read_log
from .training_loop import TrainingLoop, divide_batch


def pretrain(arguments: RunArguments[DataArguments]) -> None:
    """Train and save the model, then say where it is.

    Args:
        arguments: Of the run; they have passed `run_checks.check_pretraining`.

    Raises:
        ValueError: If arguments, model and data do not fit each other.
        FloatingPointError: If the loss is no longer finite.
    """
    checkpoint = find_checkpoint(Path(arguments.training.output_dir), arguments.training.resume_from_checkpoint)
    if arguments.training.tiny:
        arguments = shrink(arguments)
    training = arguments.training
    config = load_config(arguments.model, multi_task_heads={})
    accelerator = training_accelerator(training, find_unused_parameters=leaves_parameters_unused(config))
    place = {"rank": accelerator.process_index, "world_size": accelerator.num_processes}
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
    model = starting_model(arguments, config, checkpoint=checkpoint)
    # Every process drops out other units; a resumed run restores these states.
    set_seed(training.seed, device_specific=True)
    loop = pretraining_loop(
        arguments, model, processor, data, accelerator, validation=validation, checkpoint=checkpoint
    )
    was_finished = loop.state.step >= loop.state.total_steps
    loop.run()
    if accelerator.is_main_process:
        if was_finished:
            print(f"{checkpoint} is the end of its run: nothing was left to train")
        print(how_it_ended(arguments, loop))
    accelerator.end_training()


def how_it_ended(arguments: RunArguments[DataArguments], loop: TrainingLoop) -> str:
    """Where the model is, how far it came, and what measures it.

    Args:
        arguments: Of the run.
        loop: After the run.

    Returns:
        Two lines.
    """
    folder = arguments.training.output_dir
    losses = [row["train/loss"] for row in read_log(folder) if "train/loss" in row]
    loss = f", last loss {losses[-1]:.4g}" if losses else ""
    return f"saved in {folder}: {loop.state.step} steps{loss}\nmeasure it: {measuring_command(arguments)}"


def measuring_command(arguments: RunArguments[DataArguments]) -> str:
    """The command that measures the model of a run on its validation images.

    Args:
        arguments: Of the run. Without validation images, REGIONS and CAPTIONS stand for some that were not trained on.

    Returns:
        A command line.
    """
    data = arguments.data
    words = ["python", "examples/evaluate_pretraining.py", arguments.training.output_dir]
    if data.has_validation:
        words += [data.val_regions or data.regions, data.val_captions or data.captions]
        words += ["--split", data.val_split] if data.val_split else []
    else:
        words += ["REGIONS", "CAPTIONS"]
    defaults = DataArguments()
    for name in ("caption_image_id", "caption_form", "objective", "max_text_length"):
        value = getattr(data, name)
        words += [f"--{name}", str(value)] if value != getattr(defaults, name) else []
    return shlex.join(words)
