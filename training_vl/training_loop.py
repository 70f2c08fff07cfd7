"""The loop of every training: optimizer steps that equal one large batch, evaluation, the log and checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm.auto import tqdm
from transformers import PreTrainedModel, ProcessorMixin

from datasets_vl.code_version import code_commit
from datasets_vl.training_data import TrainingData
from processing_vl.task_collators import without_bookkeeping

from .arguments import TrainingArguments
from .best_model import BestModel
from .checkpointing import Checkpointer, RunState, check_resumable
from .optimization import make_optimizer, make_schedule
from .run_record import write_run_record
from .training_log import RunningMeans, TrainingLog

Batch = Mapping[str, Tensor]

StepLosses = Callable[[nn.Module, Batch], tuple[Tensor, dict[str, Tensor]]]
"""What a micro-batch adds to the loss of its step, and the terms to log, without gradient; both add up in a step."""

Objective = Callable[[Sequence[Batch], Accelerator], StepLosses]
"""Looks at all micro-batches of this process's step, and tells how each is judged. The mean over the processes of what
they add up is the loss of all examples of the step."""


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


def train_step(
    model: nn.Module,
    optimizer: Optimizer,
    batches: Sequence[Batch],
    accelerator: Accelerator,
    objective: Objective,
    max_grad_norm: float = 0.0,
) -> dict[str, Tensor]:
    """One optimizer step over several micro-batches.

    Args:
        model: As prepared by accelerate, in training mode.
        optimizer: As prepared by accelerate.
        batches: The micro-batches of this process; all processes have as many.
        accelerator: The processes.
        objective: What is minimised.
        max_grad_norm: Norm to which gradients are clipped, 0 for no clipping.

    Returns:
        Loss terms, whose mean over the processes is the loss of all examples of the step, and `grad_norm` before
        clipping; scalars without gradient.
    """
    losses = objective(batches, accelerator)
    totals: dict[str, Tensor] = {}
    for number, batch in enumerate(batches, start=1):
        # Gradients are exchanged once a step, with those of the last micro-batch.
        with nullcontext() if number == len(batches) else accelerator.no_sync(model):
            inputs = {name: value.to(accelerator.device, non_blocking=True) for name, value in batch.items()}
            loss, terms = losses(model, inputs)
            accelerator.backward(loss)
        for name, value in terms.items():
            totals[name] = totals[name] + value if name in totals else value
    # An infinite norm clips nothing, but tells the norm all the same.
    totals["grad_norm"] = accelerator.clip_grad_norm_(model.parameters(), max_grad_norm or math.inf).detach()
    optimizer.step()
    optimizer.zero_grad()
    return totals


class TrainingLoop:
    """A training run, from its first or a later step to the saved model.

    Args:
        name: What is done, for the progress bar.
        arguments: How the training goes on.
        settings: All arguments of the run by name, which a resumed run is compared with.
        model: The model to train; with `checkpoint`, loaded from it.
        processor: Saved beside the model.
        data: This process's micro-batches.
        accelerator: The processes.
        objective: What is minimised. By default the model's own loss, a mean over the examples of a batch.
        evaluate: Gives the scores of the model, the same in all processes; None for no evaluation.
        best: Keeps the best model by these scores, which then is the one that is saved in the end; None to save the
            last.
        checkpoint: Where to continue, None for the beginning.

    Raises:
        ValueError: If the run cannot be continued exactly from `checkpoint`; the message says why.
    """

    def __init__(
        self,
        name: str,
        arguments: TrainingArguments,
        settings: Mapping[str, Any],
        model: PreTrainedModel,
        processor: ProcessorMixin,
        data: TrainingData,
        accelerator: Accelerator,
        objective: Objective | None = None,
        *,
        evaluate: Callable[[], Mapping[str, float]] | None = None,
        best: BestModel | None = None,
        checkpoint: Path | None = None,
    ) -> None:
        self.name = name
        self.arguments = arguments
        self.accelerator = accelerator
        self.data = data
        self.objective = objective or mean_loss()
        self.evaluate = evaluate
        self.best = best
        self.model = model
        self.processor = processor
        self.output_dir = Path(arguments.output_dir)
        self.micro_batches = divide_batch(arguments, accelerator.num_processes).micro_batches
        total_steps = count_steps(arguments, data.examples_per_epoch)
        settings = {**settings, "mixed_precision": accelerator.mixed_precision}
        self.state = RunState(0, total_steps, accelerator.num_processes, settings)
        if checkpoint is not None:
            self.state = replace(self.state, step=check_resumable(checkpoint, self.state).step)
        optimizer = make_optimizer(model, arguments)
        # The schedule stays unprepared: accelerate would step it once a process.
        steps_per_epoch = data.examples_per_epoch / arguments.batch_size
        self.schedule = make_schedule(optimizer, arguments, total_steps, steps_per_epoch)
        self.wrapped, self.optimizer = accelerator.prepare(model, optimizer)
        self.means = RunningMeans()
        self.checkpointer = Checkpointer(
            self.output_dir,
            model,
            processor,
            self.optimizer,
            self.schedule,
            accelerator,
            arguments.save_total_limit,
        )
        if checkpoint is not None:
            self._restore(checkpoint)
        self._commit = code_commit()
        self.log: TrainingLog | None = None
        if accelerator.is_main_process:
            self.output_dir.mkdir(parents=True, exist_ok=True)
            self.log = TrainingLog(self.output_dir, start_step=self.state.step, tensorboard=arguments.tensorboard)

    def run(self) -> None:
        """Train to the last step or until nothing gets better, then save model and processor in `output_dir`.

        Raises:
            FloatingPointError: If the loss is no longer finite.
        """
        with tqdm(
            desc=self.name,
            unit="step",
            initial=self.state.step,
            total=self.state.total_steps,
            disable=not self.accelerator.is_main_process,
        ) as progress:
            self._train(progress)
        if self.best is not None:
            self.best.load_into(self.model)
        if self.accelerator.is_main_process:
            write_run_record(self.output_dir, self.state, self.accelerator.device, self._commit)
            self.model.save_pretrained(self.output_dir)
            self.processor.save_pretrained(self.output_dir)
            self.log.close()
        self.accelerator.wait_for_everyone()
        self._unwrap()

    def _unwrap(self) -> None:
        """Let go of the wrapper of the model, while the processes are still together.

        As the last owner of their group it would take the group down while it holds Python's lock, for which a thread
        of gloo may be waiting: now and then, a run of several processes on a CPU would never end (torch 2.13).
        """
        del self.wrapped
        self.accelerator.free_memory()

    def take_step(self, batches: Iterator[Batch]) -> tuple[dict[str, Tensor], int]:
        """One step of the run.

        Args:
            batches: This process's micro-batches to come.

        Returns:
            Loss terms, of which `loss` must be there, and how many examples they are about, of all processes.
        """
        micro_batches = list(islice(batches, self.micro_batches))
        losses = train_step(
            self.wrapped,
            self.optimizer,
            micro_batches,
            self.accelerator,
            self.objective,
            self.arguments.max_grad_norm,
        )
        return losses, self.arguments.batch_size

    def _train(self, progress: tqdm) -> None:
        batches = iter(self.data)
        self.wrapped.train()
        examples, seconds = 0, 0.0
        while not self._is_over():
            started = time.perf_counter()
            losses, of_step = self.take_step(batches)
            examples += of_step
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
                speed = {"learning_rate": learning_rate, "examples_per_second": examples / seconds}
                self._log_training(progress, {**means, **speed, "epoch": self.data.epoch})
                examples, seconds = 0, 0.0
            if self.evaluate is not None and self.is_evaluation_due():
                self._evaluate()
            if self._is_due(self.arguments.save_steps):
                self._save(losses["loss"])

    def is_evaluation_due(self) -> bool:
        """Whether the model is to be evaluated after this step."""
        return self._is_due(self.arguments.eval_steps)

    def _is_over(self) -> bool:
        stopped = self.best is not None and self.best.is_exhausted
        return stopped or self.state.step >= self.state.total_steps

    def _is_due(self, every: int | None) -> bool:
        """Whether this is one of every so many steps, or the last."""
        return self._is_over() or (every is not None and self.state.step % every == 0)

    def _log_training(self, progress: tqdm, values: Mapping[str, float]) -> None:
        self._check_finite(values["loss"])
        if self.log is not None:
            progress.set_postfix(loss=f"{values['loss']:.4g}")
            self.log.write(self.state.step, values)

    def _evaluate(self) -> None:
        scores = self.evaluate()
        if self.log is not None:
            self.log.write(self.state.step, scores, prefix="eval")
        if self.best is not None:
            self.best.see(self.state.step, scores, self.model, self.processor, self.accelerator)

    def _save(self, loss: Tensor) -> None:
        self._check_finite(self.accelerator.reduce(loss, "mean").item())
        own = {"data": self.data.state_dict(), "means": self.means.state_dict()}
        if self.best is not None:
            own["best"] = self.best.state_dict()
        self.checkpointer.save(self.state, own)

    def _restore(self, checkpoint: Path) -> None:
        own = self.checkpointer.restore(checkpoint)
        self.data.load_state_dict(own["data"])
        self.means.load_state_dict(own["means"], self.accelerator.device)
        if self.best is not None:
            self.best.load_state_dict(own["best"])

    def _check_finite(self, loss: float) -> None:
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {self.state.step}: lower learning_rate, set max_grad_norm, or use bf16 "
                "instead of fp16; the last checkpoint is from before"
            )


def mean_loss(scale: float = 1.0, **further: Any) -> Objective:
    """The objective of a model whose loss is a mean over the examples: the mean of the micro-batches' losses.

    Args:
        scale: What the loss is multiplied by; the log has it without.
        **further: Arguments of the model besides the batch.

    Returns:
        What is minimised, with micro-batches of equal numbers of examples.
    """

    def objective(batches: Sequence[Batch], accelerator: Accelerator) -> StepLosses:
        def losses(model: nn.Module, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
            loss = model(**without_bookkeeping(inputs), **further).loss / len(batches)
            return loss * scale, {"loss": loss.detach()}

        return losses

    return objective
