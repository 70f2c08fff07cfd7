"""Retrieval through transformers' Trainer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from accelerate import PartialState
from torch import Tensor, nn

from datasets_vl.tasks.caption_retrieval import RetrievalSplit

from .finetuning import check_output_dir
from .ordered_trainer import NumberedExamples, OrderedTrainer, find_trainer_checkpoint
from .retrieval_arguments import RetrievalRunArguments
from .retrieval_scoring import score_in_memory
from .retrieval_training import METRIC, RetrievalParts, recalls, retrieval_model, set_up_retrieval
from .tiny_run import shrink
from .training_loop import Batch


class RetrievalTrainer(OrderedTrainer):
    """A Trainer for retrieval: with one process exactly the losses of `retrieval_training.fine_tune_retrieval`.

    With several processes and `candidates` "in_batch" the images that a caption is told from are others than there.

    Args:
        arguments: Of the run.
        parts: Of the run.
        checkpoint: Where the run continues, None for its beginning.
        **options: Of the Trainer.

    Raises:
        ValueError: If the Trainer refuses its arguments.
    """

    def __init__(
        self, arguments: RetrievalRunArguments, parts: RetrievalParts, checkpoint: Path | None = None, **options: Any
    ) -> None:
        self.parts = parts
        evaluates = parts.validation is not None
        stops_early = arguments.training.early_stopping_patience is not None
        super().__init__(
            arguments,
            lambda: retrieval_model(arguments, parts, checkpoint, progress=PartialState().is_main_process),
            parts.processor,
            NumberedExamples(parts.regions, parts.examples(arguments.training.seed)),
            parts.collator,
            evaluates=evaluates,
            metric=METRIC if evaluates and stops_early else None,
            **options,
        )
        self._scorer = parts.scorer(self.model) if evaluates else None

    def compute_loss(
        self, model: nn.Module, inputs: Batch, return_outputs: bool = False, num_items_in_batch: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Any]:
        """The model's loss, in a batch that of all pairs.

        Args:
            model: As the Trainer wraps it.
            inputs: A batch.
            return_outputs: Whether the outputs are wanted besides.
            num_items_in_batch: Not used: the loss is a mean over the examples of a micro-batch.

        Returns:
            The loss, or the loss and the outputs.
        """
        return super().compute_loss(model, {**inputs, **self.parts.loss_arguments}, return_outputs, num_items_in_batch)

    def measure(self, split: RetrievalSplit | None = None) -> dict[str, float]:
        """Recalls in both directions, and their sum; see `OrderedTrainer.measure`."""
        scorer = self._scorer if split is None else self.parts.scorer(self.model, split)
        return recalls(score_in_memory(scorer, self.accelerator), scorer.split)


def train_retrieval_with_trainer(arguments: RetrievalRunArguments) -> RetrievalTrainer:
    """Train and save the model of the last step; with `early_stopping_patience` the best one by its summed recalls.

    Args:
        arguments: Of the run.

    Returns:
        The Trainer, with the model.

    Raises:
        FileNotFoundError: Naming all files and folders that are missing.
        ValueError: If arguments, model and data do not fit each other, or `output_dir` holds another run.
    """
    arguments = check_output_dir(arguments, shrink)
    checkpoint = find_trainer_checkpoint(arguments.training)
    trainer = RetrievalTrainer(arguments, set_up_retrieval(arguments), checkpoint)
    trainer.run(arguments, checkpoint)
    return trainer
