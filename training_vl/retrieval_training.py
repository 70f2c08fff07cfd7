"""Fine-tuning for retrieval, from the arguments to the model and its recall on the validation images."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from accelerate import Accelerator
from accelerate.utils import set_seed
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
from .finetuning import check_output_dir, with_epochs
from .model_setup import load_config, load_processor, starting_model
from .retrieval_arguments import RetrievalDataArguments, RetrievalRunArguments
from .retrieval_scoring import PairScorer, score_in_memory
from .tiny_run import shrink
from .training_loop import TrainingLoop, divide_batch, mean_loss
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

    def examples(self, seed: int) -> InBatchRetrieval | CandidateRetrieval:
        """What a caption's image is told from, drawn with `seed`."""
        data = self.arguments
        if data.candidates == "in_batch":
            return InBatchRetrieval(self.captions, seed=seed)
        pool = None if data.hard_negatives is None else read_pool(data.hard_negatives)
        return CandidateRetrieval(self.captions, self.regions, hard_images=pool, seed=seed)

    @cached_property
    def collator(self) -> RetrievalCollator:
        """What makes the training batches."""
        data = self.arguments
        return RetrievalCollator(
            self.processor,
            max_text_length=data.max_text_length,
            feature_dropout=data.feature_dropout,
            token_dropout=data.token_dropout,
        )

    @property
    def loss_arguments(self) -> dict[str, bool]:
        """What the model is told besides a batch to compute its loss: without candidates that of all pairs."""
        return {"return_loss": True} if self.arguments.candidates == "in_batch" else {}

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
        return LocalTrainingData(
            self.regions,
            self.examples(seed),
            self.collator,
            batch_size=batch_size,
            seed=seed,
            rank=rank,
            world_size=world_size,
            num_workers=self.arguments.num_workers,
        )

    def scorer(
        self, model: PreTrainedModel, split: RetrievalSplit | None = None, *, task: str | None = None
    ) -> PairScorer:
        """What scores texts against images.

        Args:
            model: For image-text retrieval, or for several tasks.
            split: The texts and images, by default those of validation.
            task: Of a model for several tasks, the one that scores.

        Returns:
            The scorer.
        """
        length = self.arguments.max_text_length
        return PairScorer(model, self.processor, split or self.validation, max_text_length=length, task=task)


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
    arguments = check_output_dir(arguments, shrink)
    training = arguments.training
    accelerator = training_accelerator(
        training,
        find_unused_parameters=True,  # states that the poolers do not read leave their last layers without gradient
    )
    checkpoint = find_checkpoint(Path(training.output_dir), training.resume_from_checkpoint)
    parts = set_up_retrieval(arguments)
    model = retrieval_model(arguments, parts, checkpoint, progress=accelerator.is_main_process)
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
    # A model that was trained for several tasks before is now for this one alone.
    config = load_config(arguments.model, multi_task_heads={})
    return open_retrieval(arguments.data, config, load_processor(arguments.model, config))


def open_retrieval(
    data: RetrievalDataArguments, config: VisionLanguageConfig, processor: RegionTextProcessor
) -> RetrievalParts:
    """Open the data of a run.

    Args:
        data: What is read.
        config: Of the model.
        processor: Encodes texts and regions.

    Returns:
        The parts.

    Raises:
        ValueError: If something is missing or does not fit together.
    """
    if data.captions is None:
        raise ValueError("which captions? Give captions: a caption file")
    regions = _regions(data, data.regions, config)
    captions = read_captions(data.captions, split=data.train_split, image_id=data.caption_image_id)
    validation = None
    if data.has_validation:
        source = data.val_captions or data.captions
        validation = RetrievalSplit.of(
            read_captions(source, split=data.val_split, image_id=data.caption_image_id),
            _regions(data, data.val_regions, config) if data.val_regions else regions,
            num_images=data.val_images,
            captions_per_image=data.val_captions_per_image,
        )
    return RetrievalParts(data, config, processor, regions, captions, validation)


def _regions(data: RetrievalDataArguments, source: str | None, config: VisionLanguageConfig) -> LocalRegions:
    regions = open_regions(data, source)
    check_feature_dim(regions.metadata, config, str(source))
    return regions


def retrieval_model(
    arguments: RetrievalRunArguments,
    parts: RetrievalParts,
    checkpoint: Path | None = None,
    *,
    progress: bool = False,
) -> PreTrainedModel:
    """The model that a run starts from, or goes on with; each process computes the same.

    Args:
        arguments: Of the run.
        parts: Of the run.
        checkpoint: Where the run continues, None for its beginning.
        progress: Whether to show how far a least-squares start has got.

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
            progress=progress,
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
        scorer = parts.scorer(model)
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
        mean_loss(**parts.loss_arguments),
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
