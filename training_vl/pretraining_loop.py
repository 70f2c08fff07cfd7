"""The pre-training loop: optimizer steps that equal one large batch, evaluation, the log and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from datasets_vl.training_data import TrainingData
from modeling_vl.losses import count_labels
from modeling_vl.outputs import PreTrainingOutput

from .arguments import PreTrainingArguments, TrainingArguments
from .checkpointing import Checkpointer, RunState, check_resumable
from .optimization import make_optimizer, make_schedule
from .pretraining_metrics import evaluate_pretraining
from .training_log import RunningMeans, TrainingLog

LOSS_TERMS = ("loss", "mlm_loss", "region_loss", "alignment_loss")

Batch = Mapping[str, Tensor]


class BatchSizes(NamedTuple):
    """How the examples of one optimizer step are divided.

    Attributes:
        micro_batch: Examples a forward pass of one process.
        micro_batches: Forward passes a step of one process.
    """

    micro_batch: int
    micro_batches: int


def divide_batch(arguments: TrainingArguments, world_size: int) -> BatchSizes:
    """Divide `batch_size` among processes and micro-batches.

    Args:
        arguments: `batch_size` and `micro_batch_size`.
        world_size: Number of processes.

    Returns:
        The sizes.

    Raises:
        ValueError: If it cannot be divided evenly; the message names the numbers.
    """
    micro_batch = arguments.micro_batch_size or max(1, arguments.batch_size // world_size)
    micro_batches, rest = divmod(arguments.batch_size, micro_batch * world_size)
    if rest or micro_batches == 0:
        raise ValueError(
            f"batch_size {arguments.batch_size} is no multiple of {world_size} processes x micro_batch_size "
            f"{micro_batch}"
        )
    return BatchSizes(micro_batch, micro_batches)


def count_steps(arguments: TrainingArguments, examples_per_epoch: int) -> int:
    """Optimizer steps of the run: `max_steps`, or `num_epochs` over `examples_per_epoch` examples, in `arguments`."""
    if arguments.max_steps is not None:
        return arguments.max_steps
    return max(1, math.ceil(arguments.num_epochs * examples_per_epoch / arguments.batch_size))


def loss_denominators(batches: Iterable[Batch], accelerator: Accelerator) -> dict[str, Tensor]:
    """What each loss term is divided by so that all micro-batches and processes add up to the loss of one large batch.

    That is the number of labelled items in all of them, over the number of processes: data parallelism averages the
    gradients of the processes, where their sum is wanted.

    Args:
        batches: The micro-batches of this process.
        accelerator: The processes.

    Returns:
        Denominators for the models' `loss_denominators`.
    """
    per_batch = [count_labels(batch) for batch in batches]
    names = list(per_batch[0])
    counts = torch.stack([sum(counts[name] for counts in per_batch) for name in names]).to(accelerator.device)
    counts = accelerator.reduce(counts, "sum").clamp(min=1) / accelerator.num_processes
    return dict(zip(names, counts, strict=True))


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    accelerator: Accelerator,
    max_grad_norm: float = 0.0,
) -> dict[str, Tensor]:
    """One optimizer step over several micro-batches.

    Args:
        model: As prepared by accelerate, in training mode.
        optimizer: As prepared by accelerate.
        batches: The micro-batches of this process; all processes have as many.
        accelerator: The processes.
        max_grad_norm: Norm to which gradients are clipped, 0 for no clipping.

    Returns:
        Loss terms, whose mean over the processes is the loss of all examples of the step, and `grad_norm` before
        clipping; scalars without gradient.
    """
    denominators = loss_denominators(batches, accelerator)
    totals: dict[str, Tensor] = {}
    for number, batch in enumerate(batches, start=1):
        # Gradients are exchanged once a step, with those of the last micro-batch.
        with nullcontext() if number == len(batches) else accelerator.no_sync(model):
            inputs = {name: value.to(accelerator.device, non_blocking=True) for name, value in batch.items()}
            output = model(**inputs, loss_denominators=denominators)
            accelerator.backward(output.loss)
        for name, value in _loss_terms(output).items():
            totals[name] = totals[name] + value if name in totals else value
    # An infinite norm clips nothing, but tells the norm all the same.
    totals["grad_norm"] = accelerator.clip_grad_norm_(model.parameters(), max_grad_norm or math.inf).detach()
    optimizer.step()
    optimizer.zero_grad()
    return totals


def _loss_terms(output: PreTrainingOutput) -> dict[str, Tensor]:
    terms = {name: output[name].detach() for name in LOSS_TERMS if output.get(name) is not None}
    targets = output.get("region_losses") or {}
    if len(targets) > 1:
        terms |= {f"region_loss_{target}": value.detach() for target, value in targets.items()}
    return terms


class PreTraining:
    """A pre-training run.

    Args:
        arguments: All arguments of the run.
        model: The model to train; with `checkpoint`, loaded from it.
        processor: Saved beside the model.
        data: This process's micro-batches.
        accelerator: The processes.
        validation: This process's share of the validation batches, None for no evaluation.
        checkpoint: Where to continue, None for the beginning.

    Raises:
        ValueError: If the run cannot be continued exactly from `checkpoint`; the message says why.
    """

    def __init__(
        self,
        arguments: PreTrainingArguments,
        model: PreTrainedModel,
        processor: ProcessorMixin,
        data: TrainingData,
        accelerator: Accelerator,
        *,
        validation: Iterable[Batch] | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        training = arguments.training
        self.arguments = training
        self.accelerator = accelerator
        self.data = data
        self.validation = validation
        self.model = model
        self.processor = processor
        self.output_dir = Path(training.output_dir)
        self.micro_batches = divide_batch(training, accelerator.num_processes).micro_batches
        total_steps = count_steps(training, data.examples_per_epoch)
        settings = {**arguments.to_dict(), "mixed_precision": accelerator.mixed_precision}
        self.state = RunState(0, total_steps, accelerator.num_processes, settings)
        if checkpoint is not None:
            self.state = replace(self.state, step=check_resumable(checkpoint, self.state).step)
        optimizer = make_optimizer(model, training)
        # The schedule stays unprepared: accelerate would step it once a process.
        self.schedule = make_schedule(optimizer, training, total_steps)
        self.wrapped, self.optimizer = accelerator.prepare(model, optimizer)
        self.means = RunningMeans()
        self.checkpointer = Checkpointer(
            self.output_dir,
            model,
            processor,
            self.optimizer,
            self.schedule,
            accelerator,
            training.save_total_limit,
        )
        if checkpoint is not None:
            own = self.checkpointer.restore(checkpoint)
            data.load_state_dict(own["data"])
            self.means.load_state_dict(own["means"], accelerator.device)
        self.log: TrainingLog | None = None
        if accelerator.is_main_process:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            self.log = TrainingLog(self.output_dir, start_step=self.state.step, tensorboard=training.tensorboard)

    def run(self) -> None:
        """Train to the last step, then save model and processor in `output_dir`.

        Raises:
            FloatingPointError: If the loss is no longer finite.
        """
        with tqdm(
            desc="pre-training",
            unit="step",
            initial=self.state.step,
            total=self.state.total_steps,
            disable=not self.accelerator.is_main_process,
        ) as progress:
            self._train(progress)
        if self.accelerator.is_main_process:
            self.model.save_pretrained(self.output_dir)
            self.processor.save_pretrained(self.output_dir)
            self.log.close()
        self.accelerator.wait_for_everyone()

    def _train(self, progress: tqdm) -> None:
        batches = iter(self.data)
        self.wrapped.train()
        logged_step, seconds = self.state.step, 0.0
        while self.state.step < self.state.total_steps:
            started = time.perf_counter()
            micro_batches = list(islice(batches, self.micro_batches))
            losses = train_step(
                self.wrapped, self.optimizer, micro_batches, self.accelerator, self.arguments.max_grad_norm
            )
            learning_rate = self.schedule.get_last_lr()[0]
            # fp16 skips steps whose gradients overflow.
            if not self.accelerator.optimizer_step_was_skipped:
                self.schedule.step()
            self.state = replace(self.state, step=self.state.step + 1)
            self.means.add(losses)
            progress.update()
            is_logged = self._is_due(self.arguments.logging_steps)
            means = self.means.take(self.accelerator) if is_logged else {}
            # Reading the means has waited for the device; evaluation and checkpoints are not counted.
            seconds += time.perf_counter() - started
            if is_logged:
                examples = (self.state.step - logged_step) * self.arguments.batch_size
                speed = {"learning_rate": learning_rate, "examples_per_second": examples / seconds}
                self._log_training(progress, {**means, **speed, "epoch": self.data.epoch})
                logged_step, seconds = self.state.step, 0.0
            if self.validation is not None and self._is_due(self.arguments.eval_steps):
                self._evaluate()
            if self._is_due(self.arguments.save_steps):
                self._save(losses["loss"])

    def _is_due(self, every: int | None) -> bool:
        """Whether this is one of every so many steps, or the last."""
        step = self.state.step
        return step == self.state.total_steps or (every is not None and step % every == 0)

    def _log_training(self, progress: tqdm, values: Mapping[str, float]) -> None:
        self._check_finite(values["loss"])
        if self.log is not None:
            progress.set_postfix(loss=f"{values['loss']:.4g}")
            self.log.write(self.state.step, values)

    def _evaluate(self) -> None:
        scores = evaluate_pretraining(self.model, self.validation, self.accelerator)
        if self.log is not None:
            self.log.write(self.state.step, scores, prefix="eval")

    def _save(self, loss: Tensor) -> None:
        self._check_finite(self.accelerator.reduce(loss, "mean").item())
        own = {"data": self.data.state_dict(), "means": self.means.state_dict()}
        self.checkpointer.save(self.state, own)

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {self.state.step}: lower learning_rate, set max_grad_norm, or use bf16 "
                "instead of fp16; the last checkpoint is from before"
            )
