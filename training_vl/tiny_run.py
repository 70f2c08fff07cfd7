"""Trying a pre-training command out: a tiny model of the same kind, a few steps; on built-in scenes without data."""

from __future__ import annotations

import dataclasses
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from filelock import FileLock
from transformers import AutoTokenizer

from configuration_vl import ViLBertConfig
from configuration_vl.configuration_vision_language import VisionLanguageConfig
from datasets_vl.parquet import RegionFeaturesMetadata

from .arguments import DataArguments, ModelArguments, RunArguments, TrainingArguments
from .data_setup import open_regions, targets_of_classes
from .model_setup import load_config
from .prepared_scenes import scene_regions
from .retrieval_arguments import RetrievalDataArguments
from .word_tokenizer import save_word_tokenizer

logger = logging.getLogger(__name__)

Captioned = TypeVar("Captioned", DataArguments, RetrievalDataArguments)

SCENES = {"train": 40, "val": 8}

_STEPS = {
    "batch_size": 24,  # divides among most numbers of processes
    "micro_batch_size": None,
    "max_steps": 4,
    "warmup_steps": 1,
    "logging_steps": 1,
    "eval_steps": 2,
    "save_steps": 2,
}

_INSTEAD = {"num_epochs": "max_steps", "warmup_ratio": "warmup_steps"}
"""Arguments to those that win over them."""

_TEXT_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "pooler_size": 32,
    "classifier_hidden_size": None,
    "phrase_attention_size": None,
}
_IMAGE_SIZES = {
    "visual_hidden_size": 32,
    "visual_num_hidden_layers": 1,
    "visual_num_attention_heads": 2,
    "visual_intermediate_size": 64,
    "coattention_hidden_size": 32,
    "coattention_num_attention_heads": 2,
    "text_coattention_ids": [1],
    "visual_coattention_ids": [0],
    "frozen_text_layers": 0,
    "frozen_visual_layers": 0,
}


def shrink(arguments: RunArguments[DataArguments]) -> RunArguments[DataArguments]:
    """The same run, tiny; what it lacks of data and tokenizer is made in `output_dir`.

    Args:
        arguments: Of the run that is to be tried out.

    Returns:
        Arguments of a run of a few steps from fresh weights, with a tokenizer of its own where none is named.
    """
    model, data, training = arguments.model, arguments.data, arguments.training
    folder = Path(training.output_dir) / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    has_data = data.regions is not None or data.captions is not None
    # Processes that were started together make the files once.
    with FileLock(folder / ".lock"):
        data = with_captioned_scenes(data, folder)
        tokenizer = model.tokenizer
        if tokenizer is None and data.captions is not None:
            tokenizer = str(folder / "tokenizer")
            save_word_tokenizer(data.captions, tokenizer)
        metadata = open_regions(data, data.regions).metadata
    learns_regions = isinstance(data, DataArguments)
    tiny = tiny_model(model, tokenizer, metadata, has_data=has_data, learns_regions=learns_regions)
    return RunArguments(tiny, data, tiny_training(training))


def with_captioned_scenes(data: Captioned, folder: Path) -> Captioned:
    """The arguments, with built-in scenes where there are no data.

    Args:
        data: Of a run that reads regions and captions.
        folder: Where the scenes go.

    Returns:
        The arguments.
    """
    if data.regions is not None or data.captions is not None:
        return data
    regions = scene_regions(folder / "scenes", SCENES)
    return replace(
        data,
        regions=str(regions["train"]),
        val_regions=str(regions["val"]),
        captions=str(folder / "scenes" / "dataset_scenes.json"),
        train_split="train",
        val_split="val",
    )


def tiny_training(training: TrainingArguments) -> TrainingArguments:
    """The same training, a few steps of it; what was typed on the command line stays.

    Args:
        training: Of the run that is to be tried out.

    Returns:
        The arguments.
    """
    steps = dict(_STEPS)
    # Each of these says in another way what a tiny value would override.
    steps |= {other: None for name, other in _INSTEAD.items() if name in training.typed}
    return replace(training, **{name: value for name, value in steps.items() if name not in training.typed})


def tiny_model(
    model: ModelArguments,
    tokenizer: str | None,
    metadata: RegionFeaturesMetadata,
    *,
    has_data: bool = True,
    learns_regions: bool = False,
) -> ModelArguments:
    """A model of the same kind, of a size that trains in seconds; typed `config_overrides` stay.

    What it takes from the data though the run itself would not is said in the log.

    Args:
        model: Which model is meant.
        tokenizer: Folder of its tokenizer.
        metadata: Of the region features that it shall read.
        has_data: Whether these are the user's; of built-in scenes there is nothing to say.
        learns_regions: Whether the run predicts the region targets of the config.

    Returns:
        Arguments of a model with fresh weights.
    """
    config = load_config(model)
    typed = (model.config_overrides or {}) if "config_overrides" in model.typed else {}
    taken: dict[str, Any] = {"visual_embedding_dim": metadata.feature_dim}
    if metadata.num_classes is not None:
        taken["num_region_classes"] = metadata.num_classes
    elif learns_regions and targets_of_classes(config):
        taken["region_targets"] = _without(config.region_targets, targets_of_classes(config))
    if tokenizer is not None:
        taken["vocab_size"] = len(AutoTokenizer.from_pretrained(tokenizer))
    taken = {name: value for name, value in taken.items() if name not in typed}
    adapted = _where_the_run_would_stop(model, config, taken, learns_regions) if has_data else []
    notes = [f"{', '.join(adapted)}; without --tiny this command would stop"] if adapted else []
    if source := model.from_pretrained or model.from_bert:
        notes.append(
            f"fresh weights{'' if model.tokenizer else ' and a vocabulary of the texts'}, not those of {source}"
        )
    if notes:
        logger.warning("--tiny: %s", "; ".join(notes))
    sizes = {**_TEXT_SIZES, **(_IMAGE_SIZES if isinstance(config, ViLBertConfig) else {}), **taken}
    if config.classifier_hidden_size == 0:
        del sizes["classifier_hidden_size"]
    return replace(
        model,
        from_bert=None,
        from_pretrained=None,
        config=config.model_type,
        config_overrides={**_changed_fields(config), **sizes, **typed},
        tokenizer=tokenizer,
    )


def _where_the_run_would_stop(
    model: ModelArguments, config: VisionLanguageConfig, taken: dict[str, Any], learns_regions: bool
) -> list[str]:
    """What the tiny run takes from the data, and what the run itself would stop at."""
    adapted = []
    if taken.get("visual_embedding_dim", config.visual_embedding_dim) != config.visual_embedding_dim:
        adapted.append(f"visual_embedding_dim {taken['visual_embedding_dim']} taken from the features")
    classes = taken.get("num_region_classes", config.num_region_classes)
    if learns_regions and targets_of_classes(config) and classes != config.num_region_classes:
        adapted.append(f"num_region_classes {classes} taken from the features")
    if "region_targets" in taken:
        dropped = ", ".join(targets_of_classes(config))
        adapted.append(f"region target {dropped} dropped, as the features have no class_probs")
    vocabulary = taken.get("vocab_size", config.vocab_size)
    if not (model.tokenizer or model.from_pretrained or model.from_bert):
        adapted.append(f"{vocabulary} words of the texts taken as vocabulary")
    elif model.tokenizer and vocabulary > config.vocab_size:
        adapted.append(f"vocab_size {vocabulary} taken from {model.tokenizer}")
    return adapted


def _without(targets: dict[str, float], names: list[str]) -> dict[str, float]:
    return {name: weight for name, weight in targets.items() if name not in names}


def _changed_fields(config: VisionLanguageConfig) -> dict[str, Any]:
    defaults = type(config)()
    names = [field.name for field in dataclasses.fields(config)]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(defaults, name)}
