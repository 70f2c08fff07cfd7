"""Running a model over a split: predictions for every example of all processes, and their scores."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from datasets_vl.tasks.table import TaskTable
from processing_vl.task_collators import without_bookkeeping

from .task_kinds import Prediction
from .task_scores import main_shares
from .tasks import TaskDefinition
from .training_loop import Batch


@torch.no_grad()
def predict_split(
    model: PreTrainedModel, task: TaskDefinition, batches: Iterable[Batch], accelerator: Accelerator
) -> tuple[dict[int, Prediction], float | None]:
    """Predictions for every example of a split; all processes call it together.

    Args:
        model: For the task (or a `OneTask` of a multi-task model), not wrapped for data parallelism: the processes may
            have unequal numbers of batches.
        task: The task.
        batches: This process's share, `datasets_vl.evaluation.evaluation_batches`.
        accelerator: The processes.

    Returns:
        In every process all predictions by number of the record, ascending, and the mean loss of an example; None
        where the split does not say what is right.
    """
    device = accelerator.device
    predictions: list[tuple[int, Prediction]] = []
    loss, labelled = torch.zeros((), device=device), torch.zeros((), device=device)
    was_training = model.training
    model.eval()
    for batch in tqdm(batches, desc="evaluation", unit="batch", leave=False, disable=not accelerator.is_main_process):
        inputs = {name: value.to(device, non_blocking=True) for name, value in without_bookkeeping(batch).items()}
        output = model(**inputs)
        if output.loss is not None:
            loss += output.loss.float() * len(batch["index"])
            labelled += len(batch["index"])
        of_batch = task.how.predict(model.task, output.logits.float().cpu(), batch)
        predictions += zip(batch["index"].tolist(), of_batch, strict=True)
    model.train(was_training)
    if accelerator.num_processes > 1:
        predictions = gather_object(predictions)
    loss, labelled = (accelerator.reduce(value, "sum").item() for value in (loss, labelled))
    return dict(sorted(predictions, key=lambda pair: pair[0])), loss / labelled if labelled else None


def evaluate_task(
    model: PreTrainedModel,
    task: TaskDefinition,
    table: TaskTable,
    batches: Iterable[Batch],
    accelerator: Accelerator,
    proposals: str,
) -> dict[str, float]:
    """The scores that a training run logs, the same in all processes.

    Args:
        model: For the task.
        task: The task.
        table: The records of the split.
        batches: This process's share of it.
        accelerator: The processes.
        proposals: Where the boxes come from that could be chosen.

    Returns:
        The shares of all examples, and `loss`.
    """
    predictions, loss = predict_split(model, task, batches, accelerator)
    return {**main_shares(task.score(table, predictions, proposals)), "loss": loss}
