"""The same tasks through transformers' Trainer: our order of examples and our measures, the rest is the Trainer's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import EarlyStoppingCallback, PreTrainedModel, Trainer
from transformers.trainer_utils import get_last_checkpoint

from datasets_vl.code_version import code_commit
from datasets_vl.local import LocalExamples, LocalRegions
from datasets_vl.order import epoch_permutation
from processing_vl.task_collators import TaskCollator, without_bookkeeping
from processing_vl.task_example import TaskExample

from .checkpointing import LATEST, RunState
from .distributed import check_world_size
from .finetuning import check_output_dir, with_epochs, write_predictions
from .model_setup import starting_model
from .optimization import make_optimizer, make_schedule
from .run_record import write_run_record
from .task_arguments import FineTuningArguments, TaskRunArguments
from .task_evaluation import evaluate_task
from .task_setup import TaskParts, TaskSplit, set_up_task
from .training_loop import Batch, count_steps, divide_batch


class NumberedExamples(Dataset[TaskExample]):
    """The examples of a split, each by epoch and number.

    Args:
        split: Of local images.

    Raises:
        ValueError: If the images are read as a stream, whose order the Trainer could not resume.
    """

    def __init__(self, split: TaskSplit) -> None:
        if not isinstance(split.regions, LocalRegions):
            raise ValueError("the Trainer resumes by numbers: leave out streaming, or use examples/run_finetuning.py")
        self._examples = LocalExamples(split.regions, split.examples, list)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, place: tuple[int, int]) -> TaskExample:
        """The example of an epoch with a number below `len(self)`."""
        (example,) = self._examples[[place]]
        return example


class EpochOrder(Sampler[tuple[int, int]]):
    """The order in which `LocalTrainingData` gives examples: the permutations of all epochs, one after the other.

    Args:
        count: Examples in an epoch.
        total: Examples of the whole run.
        seed: Of the order.
    """

    def __init__(self, count: int, total: int, seed: int) -> None:
        self._count = count
        self._total = total
        self._seed = seed

    def __len__(self) -> int:
        return self._total

    def __iter__(self) -> Iterator[tuple[int, int]]:
        epoch, order = -1, np.empty(0, dtype=np.int64)
        for place in range(self._total):
            if place // self._count != epoch:
                epoch = place // self._count
                order = epoch_permutation(self._count, seed=self._seed, epoch=epoch)
            yield epoch, int(order[place % self._count])


class ModelInputsOf:
    """A collator whose batches hold what the model reads and nothing else, as the Trainer wants them.

    Args:
        collator: Of the task.
    """

    def __init__(self, collator: TaskCollator) -> None:
        self._collator = collator

    def __call__(self, examples: list[TaskExample]) -> Batch:
        """The batch of `examples`."""
        return without_bookkeeping(self._collator(examples))


class TaskTrainer(Trainer):
    """A Trainer for one task, which with one process gives exactly the losses of `finetuning.fine_tune`.

    To the Trainer the whole run is one epoch: it would otherwise end every epoch with a smaller batch. With several
    processes a step has the same examples, divided among them otherwise.

    Args:
        arguments: Of the run.
        parts: Of the run.
        model: For the task; what the run starts from. By default as `arguments` say.
        **options: Of the Trainer.

    Raises:
        ValueError: If the images are read as a stream, or the Trainer refuses its arguments.
    """

    def __init__(
        self, arguments: TaskRunArguments, parts: TaskParts, model: PreTrainedModel | None = None, **options: Any
    ) -> None:
        examples = NumberedExamples(parts.training)
        training = with_epochs(arguments.training, len(examples))
        trainer_arguments = hugging_face_arguments(training, parts, len(examples))
        if model is None:
            model = starting_model(arguments, parts.config, parts.task.how.auto_class)
        optimizer = make_optimizer(model, training)
        steps_per_epoch = len(examples) / training.batch_size
        schedule = make_schedule(optimizer, training, trainer_arguments.max_steps, steps_per_epoch)
        if training.early_stopping_patience is not None and parts.validation is not None:
            options["callbacks"] = [
                *options.get("callbacks", ()),
                EarlyStoppingCallback(training.early_stopping_patience),
            ]
        self.parts = parts
        self.examples = examples
        super().__init__(
            model=model,
            args=trainer_arguments,
            train_dataset=examples,
            eval_dataset=[] if parts.validation else None,  # `evaluate` reads the split itself
            data_collator=ModelInputsOf(parts.collator),
            processing_class=parts.processor,
            optimizers=(optimizer, schedule),
            **options,
        )

    def get_train_dataloader(self) -> DataLoader[Batch]:
        """Batches in our order; with a generator of its own it draws nothing from the state that dropout uses."""
        arguments = self.args
        a_step = arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
        loader = DataLoader(
            self.train_dataset,
            batch_size=self._train_batch_size,
            sampler=EpochOrder(len(self.examples), arguments.max_steps * a_step, arguments.seed),
            collate_fn=self.data_collator,
            num_workers=arguments.dataloader_num_workers,
            generator=torch.Generator().manual_seed(0),
        )
        return self.accelerator.prepare(loader)

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure the model on the validation split with the task's own metric.

        Args:
            eval_dataset: Another split, as `TaskSplit`; that of the run by default.
            ignore_keys: Not used: nothing but logits is read.
            metric_key_prefix: First part of the names of the scores.

        Returns:
            The scores.
        """
        split = eval_dataset or self.parts.validation
        batches = split.batches(
            self.parts.collator,
            batch_size=self.args.eval_batch_size,
            rank=self.args.process_index,
            world_size=self.args.world_size,
            num_workers=self.args.dataloader_num_workers,
        )
        scores = evaluate_task(self.model, self.parts.task, split.table, batches, self.accelerator, split.proposals)
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics


def hugging_face_arguments(
    training: FineTuningArguments, parts: TaskParts, examples_per_epoch: int
) -> transformers.TrainingArguments:
    """Our arguments in the Trainer's words.

    Args:
        training: The arguments, with evaluations and checkpoints.
        parts: Of the run.
        examples_per_epoch: Examples in one pass over the data.

    Returns:
        The Trainer's arguments.

    Raises:
        RuntimeError: See `distributed.check_world_size`.
        ValueError: If the batch size cannot be divided, or the Trainer refuses something.
    """
    evaluates = parts.validation is not None
    arguments = transformers.TrainingArguments(
        output_dir=str(Path(training.output_dir)),
        max_steps=count_steps(training, examples_per_epoch),
        learning_rate=training.learning_rate,
        max_grad_norm=training.max_grad_norm,
        seed=training.seed,
        bf16=training.mixed_precision == "bf16",
        fp16=training.mixed_precision == "fp16",
        use_cpu=training.use_cpu,
        label_names=["labels"],  # the Trainer would look for every argument with "label" in its name
        remove_unused_columns=False,  # an example has no column that the model's forward takes
        logging_steps=training.logging_steps,
        eval_strategy="steps" if evaluates else "no",
        eval_steps=training.eval_steps,
        save_strategy="steps",
        save_steps=training.save_steps,
        save_total_limit=training.save_total_limit,
        load_best_model_at_end=evaluates,
        metric_for_best_model=f"eval_{parts.task.metric}" if evaluates else None,
        greater_is_better=True if evaluates else None,
        restore_callback_states_from_checkpoint=True,  # how long early stopping has waited
        dataloader_num_workers=parts.arguments.num_workers,
        ddp_find_unused_parameters=True,  # which parameters a head leaves out depends on the task
        report_to="tensorboard" if training.tensorboard else "none",
    )
    check_world_size(arguments.world_size, training.expected_processes, os.environ)
    sizes = divide_batch(training, arguments.world_size)
    arguments.per_device_train_batch_size = sizes.micro_batch
    arguments.per_device_eval_batch_size = training.eval_batch_size or sizes.micro_batch
    arguments.gradient_accumulation_steps = sizes.micro_batches
    return arguments


def train_with_trainer(arguments: TaskRunArguments) -> TaskTrainer:
    """Train, save the best model, and write its predictions for the validation split.

    Args:
        arguments: Of the run.

    Returns:
        The Trainer, with the best model.

    Raises:
        FileNotFoundError: Naming all files and folders that are missing.
        ValueError: If arguments, model and data do not fit each other, or `output_dir` holds another run.
    """
    arguments = check_output_dir(arguments)
    checkpoint = _checkpoint(Path(arguments.training.output_dir), arguments.training.resume_from_checkpoint)
    parts = set_up_task(arguments.model, arguments.data)
    trainer, commit = TaskTrainer(arguments, parts), code_commit()
    trainer.train(resume_from_checkpoint=checkpoint)
    trainer.save_model()
    if trainer.is_world_process_zero():
        steps, processes = trainer.state, trainer.accelerator.num_processes
        state = RunState(steps.global_step, steps.max_steps, processes, arguments.to_dict())
        write_run_record(Path(arguments.training.output_dir), state, trainer.accelerator.device, commit)
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
