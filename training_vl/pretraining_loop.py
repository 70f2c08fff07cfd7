"""What pre-training minimises: several losses, each a mean over what is labelled in the whole batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from transformers import PreTrainedModel, ProcessorMixin

from datasets_vl.training_data import TrainingData
from modeling_vl.losses import count_labels
from modeling_vl.outputs import PreTrainingOutput

from .arguments import DataArguments, RunArguments
from .pretraining_metrics import evaluate_pretraining
from .training_loop import Batch, StepLosses, TrainingLoop

LOSS_TERMS = ("loss", "mlm_loss", "region_loss", "alignment_loss")


def pretraining_objective(batches: Sequence[Batch], accelerator: Accelerator) -> StepLosses:
    """The losses of pre-training, which add up over micro-batches and processes to those of one large batch.

    Args:
        batches: The micro-batches of this process.
        accelerator: The processes.

    Returns:
        What each micro-batch adds.
    """
    denominators = loss_denominators(batches, accelerator)

    def losses(model: nn.Module, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        output = model(**inputs, loss_denominators=denominators)
        return output.loss, _loss_terms(output)

    return losses


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


def pretraining_loop(
    arguments: RunArguments[DataArguments],
    model: PreTrainedModel,
    processor: ProcessorMixin,
    data: TrainingData,
    accelerator: Accelerator,
    *,
    validation: Iterable[Batch] | None = None,
    checkpoint: Path | None = None,
) -> TrainingLoop:
    """A pre-training run.

    Args:
        arguments: All arguments of the run.
        model: The model to train; with `checkpoint`, loaded from it.
        processor: Saved beside the model.
        data: This process's micro-batches.
        accelerator: The processes.
        validation: This process's share of the validation batches, None for no evaluation.
        checkpoint: Where to continue, None for the beginning.

    Returns:
        The loop, ready to run.
    """
    evaluate = None if validation is None else lambda: evaluate_pretraining(model, validation, accelerator)
    return TrainingLoop(
        "pre-training",
        arguments.training,
        arguments.to_dict(),
        model,
        processor,
        data,
        accelerator,
        pretraining_objective,
        evaluate=evaluate,
        checkpoint=checkpoint,
    )


def _loss_terms(output: PreTrainingOutput) -> dict[str, Tensor]:
    terms = {name: output[name].detach() for name in LOSS_TERMS if output.get(name) is not None}
    targets = output.get("region_losses") or {}
    if len(targets) > 1:
        terms |= {f"region_loss_{target}": value.detach() for target, value in targets.items()}
    return terms
