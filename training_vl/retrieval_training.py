"""Fine-tuning for retrieval, from the arguments to the model and its recall on the validation images."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import Tensor, nn
from transformers import PreTrainedModel

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from datasets_vl.captions import CaptionTable, read_captions
from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.tasks.caption_retrieval import CandidateRetrieval, InBatchRetrieval, RetrievalSplit, read_pool
from datasets_vl.training_data import TrainingData
from metrics_vl.recall import score_retrieval
from modeling_vl import AutoModelForImageTextRetrieval
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.retrieval_collator import RetrievalCollator

from .best_model import BestModel
from .checkpointing import find_checkpoint
from .data_setup import check_feature_dim, open_regions
from .distributed import training_accelerator
from .finetuning import with_epochs
from .model_setup import load_config, load_processor, starting_model
from .retrieval_arguments import RetrievalDataArguments, RetrievalRunArguments
from .retrieval_scoring import PairScorer, score_in_memory
from .run_checks import check_run
from .tiny_run import shrink
from .training_loop import Batch, StepLosses, TrainingLoop, divide_batch
from .visual_start import least_squares_start

logger = logging.getLogger(__name__)

METRIC = "recall_sum"


@dataclass(frozen=True)
class RetrievalParts:
    """What a run is made of, but for the model.

    Attributes:
        arguments: The data arguments.
        config: Of the model.
        processor: Encodes texts and regions.
        regions: The training images.
        captions: Their captions.
        validation: What is ranked in evaluations, or None.
    """

    arguments: RetrievalDataArguments
    config: VisionLanguageConfig
    processor: RegionTextProcessor
    regions: LocalRegions
    captions: CaptionTable
    validation: RetrievalSplit | None

    def training_data(self, *, batch_size: int, seed: int, rank: int, world_size: int) -> TrainingData:
        """Endless batches of one process.

        Args:
            batch_size: Examples a batch of this process.
            seed: Of order and draws.
            rank: Number of this process.
            world_size: Number of processes.

        Returns:
            The data.
        """
        data = self.arguments
        if data.candidates == "in_batch":
            task = InBatchRetrieval(self.captions, seed=seed)
        else:
            pool = None if data.hard_negatives is None else read_pool(data.hard_negatives)
            task = CandidateRetrieval(self.captions, self.regions, hard_images=pool, seed=seed)
        collator = RetrievalCollator(
            self.processor,
            max_text_length=data.max_text_length,
            feature_dropout=data.feature_dropout,
            token_dropout=data.token_dropout,
        )
        return LocalTrainingData(
            self.regions,
            task,
            collator,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            num_workers=data.num_workers,
        )


def fine_tune_retrieval(arguments: RetrievalRunArguments) -> None:
    """Fine-tune a model for retrieval and save it.

    The model of the last step is saved; with `early_stopping_patience` the best one of the evaluations, by the sum of
    its recalls.

    Args:
        arguments: Of the run.

    Raises:
        FileNotFoundError: Naming all files and folders that are missing.
        ValueError: If arguments, model and data do not fit each other.
        FloatingPointError: If the loss is no longer finite.
    """
    check_run(arguments)
    if arguments.training.tiny:
        arguments = shrink(arguments)
    training = arguments.training
    accelerator = training_accelerator(
        training,
        find_unused_parameters=True,  # states that the poolers do not read leave their last layers without gradient
    )
    checkpoint = find_checkpoint(Path(training.output_dir), training.resume_from_checkpoint)
    parts = set_up_retrieval(arguments)
    model = retrieval_model(arguments, parts, accelerator, checkpoint)
    # Every process drops out other units; a resumed run restores these states.
    set_seed(training.seed, device_specific=True)
    retrieval_loop(arguments, parts, model, accelerator, checkpoint).run()
    accelerator.end_training()


def set_up_retrieval(arguments: RetrievalRunArguments) -> RetrievalParts:
    """Open the data of a run, and make a config and a processor that fit them.

    Args:
        arguments: Of the run.

    Returns:
        The parts.

    Raises:
        ValueError: If something is missing or does not fit together.
    """
    model, data = arguments.model, arguments.data
    if data.captions is None:
        raise ValueError("which captions? Give captions: a caption file")
    config = load_config(model)
    regions = _regions(data, data.regions, config)
    captions = read_captions(data.captions, split=data.train_split, image_id=data.caption_image_id)
    validation = None
    if data.has_validation:
        source = data.val_captions or data.captions
        validation = RetrievalSplit.of(
            read_captions(source, split=data.val_split, image_id=data.caption_image_id),
            _regions(data, data.val_regions, config) if data.val_regions else regions,
            captions_per_image=data.val_captions_per_image,
        )
    return RetrievalParts(data, config, load_processor(model, config), regions, captions, validation)


def _regions(data: RetrievalDataArguments, source: str | None, config: VisionLanguageConfig) -> LocalRegions:
    regions = open_regions(data, source)
    check_feature_dim(regions.metadata, config, str(source))
    return regions


def retrieval_model(
    arguments: RetrievalRunArguments,
    parts: RetrievalParts,
    accelerator: Accelerator,
    checkpoint: Path | None = None,
) -> PreTrainedModel:
    """The model that a run starts from, or goes on with.

    Args:
        arguments: Of the run.
        parts: Of the run.
        accelerator: The processes; each computes the same start.
        checkpoint: Where the run continues, None for its beginning.

    Returns:
        The model, in training mode. What is new in it is the same for the same seed.
    """
    model = starting_model(arguments, parts.config, AutoModelForImageTextRetrieval, checkpoint)
    if checkpoint is None and arguments.model.start == "least_squares":
        report = least_squares_start(
            model,
            parts.processor,
            RetrievalSplit.of(parts.captions, parts.regions),
            scale=arguments.model.start_scale,
            max_text_length=arguments.data.max_text_length,
            progress=accelerator.is_main_process,
        )
        logger.info("%s", report)
    return model


def retrieval_loop(
    arguments: RetrievalRunArguments,
    parts: RetrievalParts,
    model: PreTrainedModel,
    accelerator: Accelerator,
    checkpoint: Path | None = None,
) -> TrainingLoop:
    """The loop of a run.

    Args:
        arguments: Of the run.
        parts: Of the run.
        model: For image-text retrieval; with `checkpoint`, loaded from it.
        accelerator: The processes.
        checkpoint: Where to continue, None for the beginning.

    Returns:
        The loop, ready to run.
    """
    data = parts.training_data(
        batch_size=divide_batch(arguments.training, accelerator.num_processes).micro_batch,
        seed=arguments.training.seed,
        rank=accelerator.process_index,
        world_size=accelerator.num_processes,
    )
    training = with_epochs(arguments.training, data.examples_per_epoch)
    evaluate, best = None, None
    if parts.validation is not None:
        scorer = PairScorer(model, parts.processor, parts.validation, max_text_length=arguments.data.max_text_length)
        if training.early_stopping_patience is not None:
            best = BestModel(Path(training.output_dir), METRIC, training.early_stopping_patience)

        def evaluate() -> dict[str, float]:
            return recalls(score_in_memory(scorer, accelerator), parts.validation)

    return TrainingLoop(
        "fine-tuning retrieval",
        training,
        arguments.to_dict(),
        model,
        parts.processor,
        data,
        accelerator,
        retrieval_objective,
        evaluate=evaluate,
        best=best,
        checkpoint=checkpoint,
    )


def recalls(scores: object, split: RetrievalSplit) -> dict[str, float]:
    """Recalls in both directions of `scores` for `split`, and their sum, by plain names."""
    found = {
        f"{direction}_{name}": share.value
        for direction, shares in score_retrieval(scores, split.owners).items()
        for name, share in shares.items()
    }
    return {**found, METRIC: sum(found.values())}


def retrieval_objective(batches: Sequence[Batch], accelerator: Accelerator) -> StepLosses:
    """Contrast within each micro-batch, or among drawn candidates; the mean of the micro-batches' losses.

    Args:
        batches: The micro-batches of this process, of equal numbers of examples.
        accelerator: The processes.

    Returns:
        What each micro-batch adds.
    """

    def losses(model: nn.Module, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        contrast = {} if "labels" in inputs else {"return_loss": True}
        loss = model(**inputs, **contrast).loss / len(batches)
        return loss, {"loss": loss.detach()}

    return losses
