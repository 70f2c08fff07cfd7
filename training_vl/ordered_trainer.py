"""transformers' Trainer with our order of examples and our measures; the rest is the Trainer's."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.data import DataLoader, Dataset, Sampler
from transformers import EarlyStoppingCallback, PreTrainedModel, ProcessorMixin, Trainer
from transformers.trainer_utils import get_last_checkpoint

from datasets_vl.code_version import code_commit
from datasets_vl.local import LocalExamples, LocalRegions
from datasets_vl.order import epoch_permutation
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.training_data import ExampleTask

from .arguments import RunArguments
from .checkpointing import LATEST, RunState
from .distributed import check_world_size
from .finetuning import with_epochs
from .optimization import make_optimizer, make_schedule
from .run_record import write_run_record
from .task_arguments import FineTuningArguments
from .training_loop import Batch, count_steps, divide_batch


class NumberedExamples(Dataset[Any]):
    """The examples of a split, each by epoch and number.

    Args:
        regions: The images.
        task: Makes an example of an image and a row of its table.

    Raises:
        ValueError: If the images are read as a stream, whose order the Trainer could not resume.
    """

    def __init__(self, regions: LocalRegions | ShardFolder, task: ExampleTask) -> None:
        if not isinstance(regions, LocalRegions):
            raise ValueError("the Trainer resumes by numbers: leave out streaming, or use examples/run_finetuning.py")
        self._examples = LocalExamples(regions, task, list)

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, place: tuple[int, int]) -> Any:
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


class OrderedTrainer(Trainer):
    """A Trainer whose losses, with one process, are exactly those of `training_loop.TrainingLoop`.

    To the Trainer the whole run is one epoch: it would otherwise end every epoch with a smaller batch. With several
    processes a step has the same examples, divided among them otherwise.

    Args:
        arguments: Of the run.
        start: Gives the model that the run starts from, once the processes are joined.
        processor: Saved beside the model.
        examples: To train on.
        collator: Makes batches of them.
        evaluates: Whether there is something to evaluate on.
        metric: The score by which the best model is kept; None to keep the last one.
        **options: Of the Trainer.

    Raises:
        ValueError: If the Trainer refuses its arguments.
    """

    def __init__(
        self,
        arguments: RunArguments[Any],
        start: Callable[[], PreTrainedModel],
        processor: ProcessorMixin,
        examples: NumberedExamples,
        collator: Callable[[Sequence[Any]], Batch],
        *,
        evaluates: bool,
        metric: str | None,
        **options: Any,
    ) -> None:
        training = with_epochs(arguments.training, len(examples))
        trainer_arguments = hugging_face_arguments(
            training, len(examples), num_workers=arguments.data.num_workers, evaluates=evaluates, metric=metric
        )
        model = start()
        optimizer = make_optimizer(model, training)
        steps_per_epoch = len(examples) / training.batch_size
        schedule = make_schedule(optimizer, training, trainer_arguments.max_steps, steps_per_epoch)
        if training.early_stopping_patience is not None and evaluates:
            options["callbacks"] = [
                *options.get("callbacks", ()),
                EarlyStoppingCallback(training.early_stopping_patience),
            ]
        self.examples = examples
        super().__init__(
            model=model,
            args=trainer_arguments,
            train_dataset=examples,
            eval_dataset=[] if evaluates else None,  # `measure` reads the split itself
            data_collator=collator,
            processing_class=processor,
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

    @abstractmethod
    def measure(self, split: Any = None) -> dict[str, float]:
        """Scores of the model, the same in all processes.

        Args:
            split: What it is measured on; the validation split of the run by default.

        Returns:
            The scores by name.
        """

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Measure the model on the validation split with the task's own metric.

        Args:
            eval_dataset: Another split; that of the run by default.
            ignore_keys: Not used: nothing but logits is read.
            metric_key_prefix: First part of the names of the scores.

        Returns:
            The scores.
        """
        metrics = {f"{metric_key_prefix}_{name}": value for name, value in self.measure(eval_dataset).items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def run(self, arguments: RunArguments[Any], checkpoint: Path | None) -> None:
        """Train, and save the model, the best one where one is chosen, with what `arguments` made it.

        Args:
            arguments: Of the run.
            checkpoint: Where to continue, None for the beginning.
        """
        commit = code_commit()
        self.train(resume_from_checkpoint=checkpoint and str(checkpoint))
        self.save_model()
        if self.is_world_process_zero():
            state = RunState(
                self.state.global_step, self.state.max_steps, self.accelerator.num_processes, arguments.to_dict()
            )
            write_run_record(Path(self.args.output_dir), state, self.accelerator.device, commit)


def hugging_face_arguments(
    training: FineTuningArguments,
    examples_per_epoch: int,
    *,
    num_workers: int,
    evaluates: bool,
    metric: str | None,
) -> transformers.TrainingArguments:
    """Our arguments in the Trainer's words.

    Args:
        training: The arguments, with evaluations and checkpoints.
        examples_per_epoch: Examples in one pass over the data.
        num_workers: Worker processes that prepare batches.
        evaluates: Whether there is something to evaluate on.
        metric: The score by which the best model is kept; None to keep the last one.

    Returns:
        The Trainer's arguments.

    Raises:
        RuntimeError: See `distributed.check_world_size`.
        ValueError: If the batch size cannot be divided, or the Trainer refuses something.
    """
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
        load_best_model_at_end=metric is not None,
        metric_for_best_model=f"eval_{metric}" if metric else None,
        greater_is_better=True if metric else None,
        restore_callback_states_from_checkpoint=True,  # how long early stopping has waited
        dataloader_num_workers=num_workers,
        ddp_find_unused_parameters=True,  # which parameters a head leaves out depends on the task
        report_to="tensorboard" if training.tensorboard else "none",
    )
    check_world_size(arguments.world_size, training.expected_processes, os.environ)
    sizes = divide_batch(training, arguments.world_size)
    arguments.per_device_train_batch_size = sizes.micro_batch
    arguments.per_device_eval_batch_size = training.eval_batch_size or sizes.micro_batch
    arguments.gradient_accumulation_steps = sizes.micro_batches
    return arguments


def find_trainer_checkpoint(training: FineTuningArguments) -> Path | None:
    """The checkpoint of a Trainer to continue from.

    Args:
        training: Of the run: where its checkpoints lie, and which one is wanted.

    Returns:
        The folder; None to start from the beginning.

    Raises:
        ValueError: If checkpoints are there and none is wanted: the run would mix them with its own.
    """
    output_dir, wanted = Path(training.output_dir), training.resume_from_checkpoint
    existing = get_last_checkpoint(str(output_dir)) if output_dir.is_dir() else None
    if existing and wanted is None:
        raise ValueError(
            f"{output_dir} holds checkpoints of an earlier run, the last one {Path(existing).name}: continue it with "
            "--resume_from_checkpoint latest, or choose another output_dir"
        )
    found = existing if wanted == LATEST else wanted
    return Path(found) if found else None
