"""From arguments to training and validation data."""

from __future__ import annotations

from collections.abc import Iterable

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from configuration_vl.region_targets import REGION_TARGETS
from datasets_vl.captions import read_captions
from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.streaming import StreamedTrainingData
from datasets_vl.training_data import Batch, Collator, ExampleTask, TrainingData
from processing_vl.collators import PreTrainingCollator
from processing_vl.processing_regions import RegionTextProcessor

from .arguments import DataArguments, RegionArguments


def build_collator(
    arguments: DataArguments, config: VisionLanguageConfig, processor: RegionTextProcessor
) -> PreTrainingCollator:
    """The collator of a run.

    Args:
        arguments: What is masked, and the objective.
        config: Of the model; names the region targets.
        processor: Encodes texts and regions.

    Returns:
        The collator.
    """
    return PreTrainingCollator(
        processor,
        region_targets=tuple(config.region_targets),
        objective=arguments.objective,
        max_text_length=arguments.max_text_length,
        token_mask_probability=arguments.token_mask_probability,
        region_mask_probability=arguments.region_mask_probability,
        overlap_threshold=arguments.overlap_threshold,
    )


def build_training_data(
    arguments: DataArguments,
    config: VisionLanguageConfig,
    collator: PreTrainingCollator,
    *,
    batch_size: int,
    seed: int,
    rank: int,
    world_size: int,
) -> TrainingData:
    """The training data of one process.

    Args:
        arguments: Where the data are and how they are read.
        config: Of the model; the data must fit it.
        collator: Makes batches.
        batch_size: Examples a batch of this process.
        seed: Of order, false captions and masks.
        rank: Number of this process.
        world_size: Number of processes.

    Returns:
        Endless batches.

    Raises:
        ValueError: If data are missing or do not fit the model.
    """
    regions = open_regions(arguments, arguments.regions)
    check_data_fit(regions.metadata, config, str(arguments.regions))
    task = _task(arguments, arguments.captions, arguments.train_split, seed)
    return make_training_data(
        arguments, regions, task, collator, batch_size=batch_size, seed=seed, rank=rank, world_size=world_size
    )


def make_training_data(
    arguments: RegionArguments,
    regions: LocalRegions | ShardFolder,
    task: ExampleTask,
    collator: Collator,
    *,
    batch_size: int,
    seed: int,
    rank: int,
    world_size: int,
) -> TrainingData:
    """Endless batches of one process, for any kind of examples.

    Args:
        arguments: How the images are read.
        regions: The images.
        task: Makes examples.
        collator: Makes batches of them.
        batch_size: Examples a batch of this process.
        seed: Of the order.
        rank: Number of this process.
        world_size: Number of processes.

    Returns:
        The data.
    """
    common = {
        "batch_size": batch_size,
        "seed": seed,
        "rank": rank,
        "world_size": world_size,
        "num_workers": arguments.num_workers,
    }
    if isinstance(regions, ShardFolder):
        return StreamedTrainingData(regions, task, collator, shuffle_images=arguments.shuffle_images, **common)
    return LocalTrainingData(regions, task, collator, **common)


def build_validation_batches(
    arguments: DataArguments,
    config: VisionLanguageConfig,
    collator: PreTrainingCollator,
    *,
    batch_size: int,
    seed: int,
    rank: int,
    world_size: int,
) -> Iterable[Batch] | None:
    """The validation batches of one process.

    Args:
        arguments: Where the data are.
        config: Of the model; the data must fit it.
        collator: Makes batches.
        batch_size: Examples a batch.
        seed: Of false captions and masks, which are the same in every evaluation.
        rank: Number of this process.
        world_size: Number of processes.

    Returns:
        The batches, or None when no validation data are named.

    Raises:
        ValueError: If data do not fit the model.
    """
    if not arguments.has_validation:
        return None
    source = arguments.val_regions or arguments.regions
    regions = open_regions(arguments, source)
    check_data_fit(regions.metadata, config, str(source))
    task = _task(arguments, arguments.val_captions or arguments.captions, arguments.val_split, seed)
    return evaluation_batches(
        regions,
        task,
        collator,
        batch_size=batch_size,
        rank=rank,
        world_size=world_size,
        num_workers=arguments.num_workers,
    )


def open_regions(arguments: RegionArguments, source: str | None) -> LocalRegions | ShardFolder:
    """Open shards of region features.

    Args:
        arguments: Whether to stream, and where the local copy goes.
        source: Folder or address.

    Returns:
        The images, local or to be streamed.

    Raises:
        ValueError: If there is no source.
    """
    if source is None:
        raise ValueError(
            "which images? Give regions: a folder of shards written by examples/convert_region_features.py"
        )
    return ShardFolder(source) if arguments.streaming else LocalRegions(source, arguments.cache_dir)


def _task(arguments: DataArguments, captions: str | None, split: str | None, seed: int) -> PreTrainingTask:
    if captions is None:
        raise ValueError("which captions? Give captions: a caption file")
    table = read_captions(captions, split=split, image_id=arguments.caption_image_id)
    return PreTrainingTask(
        table, form=arguments.caption_form, mismatch_probability=arguments.mismatch_probability, seed=seed
    )


def check_feature_dim(metadata: RegionFeaturesMetadata, config: VisionLanguageConfig, source: str) -> None:
    """Refuse region features that the model cannot read.

    Args:
        metadata: Of the region features.
        config: Of the model.
        source: What to call the data in errors.

    Raises:
        ValueError: Naming both numbers.
    """
    if metadata.feature_dim != config.visual_embedding_dim:
        raise ValueError(
            f"{source} has {metadata.feature_dim} numbers a region, the model wants visual_embedding_dim="
            f"{config.visual_embedding_dim}: set it in config_overrides, or take other features"
        )


def check_data_fit(metadata: RegionFeaturesMetadata, config: VisionLanguageConfig, source: str) -> None:
    """Refuse region features that the model cannot read or learn from in pre-training.

    Args:
        metadata: Of the region features.
        config: Of the model.
        source: What to call the data in errors.

    Raises:
        ValueError: Saying which numbers differ, or which region targets lack what they are learnt from.
    """
    check_feature_dim(metadata, config, source)
    wanting = targets_of_classes(config)
    if not wanting or metadata.num_classes == config.num_region_classes:
        return
    targets = f"the region target{'s' if len(wanting) > 1 else ''} {', '.join(wanting)} of the model"
    if metadata.num_classes is None:
        free = [name for name, target in REGION_TARGETS.items() if target.inputs == ("region_features",)]
        objects = [name for name, target in REGION_TARGETS.items() if "object_ids" in target.inputs]
        raise ValueError(
            f"{source} has no class_probs, from which {targets} learn: choose others, such as --config_overrides "
            f"""'{{"region_targets": {{"{free[0]}": 1.0}}}}' ({", ".join(free)} need nothing but the features, """
            f"{', '.join(objects)} need object ids), or convert features that have class_probs"
        )
    raise ValueError(
        f"{source} has class_probs of {metadata.num_classes} classes, {targets} want num_region_classes="
        f"""{config.num_region_classes}: set --config_overrides '{{"num_region_classes": {metadata.num_classes}}}'"""
    )


def targets_of_classes(config: VisionLanguageConfig) -> list[str]:
    """The region targets of a `config` that are learnt from class probabilities."""
    return [target for target in config.region_targets if "region_class_probs" in REGION_TARGETS[target].inputs]
