"""From arguments to config, processor and model."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from accelerate.utils import set_seed
from huggingface_hub.errors import StrictDataclassError
from transformers import AutoConfig, AutoModelForPreTraining, AutoTokenizer, PreTrainedModel

import modeling_vl  # noqa: F401  registers the Auto classes
from configuration_vl import RELEASED_CONFIGS, ViLBertConfig, VisualBertConfig, released_config
from configuration_vl.configuration_vision_language import VisionLanguageConfig
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor

from .arguments import ModelArguments, RunArguments

logger = logging.getLogger(__name__)

CONFIG_CLASSES: dict[str, type[VisionLanguageConfig]] = {
    config_class.model_type: config_class for config_class in (ViLBertConfig, VisualBertConfig)
}


def load_config(arguments: ModelArguments, **fields: Any) -> VisionLanguageConfig:
    """The config that the arguments name, with their overrides.

    Args:
        arguments: `config` or `from_pretrained`, and `config_overrides`.
        **fields: Fields to change unless an override does.

    Returns:
        The config.

    Raises:
        ValueError: If no config is named, it is of neither model, or an override is no field of it.
    """
    changes = {**fields, **(arguments.config_overrides or {})}
    if arguments.from_pretrained:
        config = AutoConfig.from_pretrained(arguments.from_pretrained)
        return change_config(type(config), config.to_dict(), changes)
    name = arguments.config
    if name is None:
        raise ValueError(
            f"which model? Give config: one of {', '.join((*CONFIG_CLASSES, *RELEASED_CONFIGS))}, or a file or folder"
        )
    if name in CONFIG_CLASSES:
        return change_config(CONFIG_CLASSES[name], {}, changes)
    config = released_config(name) if name in RELEASED_CONFIGS else _saved_config(name)
    return change_config(type(config), config.to_dict(), changes)


def _saved_config(path: str) -> VisionLanguageConfig:
    if not Path(path).exists():
        raise ValueError(
            f"config {path!r} is no file or folder and none of {', '.join((*CONFIG_CLASSES, *RELEASED_CONFIGS))}"
        )
    config = AutoConfig.from_pretrained(path)
    if type(config) not in CONFIG_CLASSES.values():
        raise ValueError(f"{path} is the config of a {config.model_type!r}, expected one of {list(CONFIG_CLASSES)}")
    return config


def change_config(
    config_class: type[VisionLanguageConfig], fields: dict[str, Any], changes: dict[str, Any]
) -> VisionLanguageConfig:
    """A config with some fields changed, checked as a whole.

    Args:
        config_class: Its class.
        fields: What it starts from.
        changes: Fields to replace.

    Returns:
        The config.

    Raises:
        ValueError: If a change names no field or has a value of the wrong type, or the fields contradict each other.
    """
    known = {field.name for field in dataclasses.fields(config_class)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise ValueError(f"config_overrides names {unknown}, which are no fields of {config_class.__name__}")
    try:
        return config_class(**{**fields, **changes})
    except StrictDataclassError as error:
        raise ValueError(f"config_overrides: {error}") from error


def load_processor(
    arguments: ModelArguments, config: VisionLanguageConfig, *, append_mask: bool = False
) -> RegionTextProcessor:
    """The processor that fits a config.

    Args:
        arguments: `tokenizer`, or a model that brings one.
        config: Of the model.
        append_mask: See `RegionTextProcessor`.

    Returns:
        The processor.

    Raises:
        ValueError: If there is no tokenizer, or it knows more word pieces than the model.
    """
    source = arguments.tokenizer or arguments.from_pretrained or arguments.from_bert
    if source is None:
        raise ValueError("which word pieces? Give tokenizer: a folder or Hub id")
    tokenizer = AutoTokenizer.from_pretrained(source)
    if len(tokenizer) > config.vocab_size:
        raise ValueError(
            f"the tokenizer {source} has {len(tokenizer)} word pieces, the model vocab_size={config.vocab_size}: set "
            f'config_overrides to {{"vocab_size": {len(tokenizer)}}}, or take another tokenizer'
        )
    extractor = RegionFeatureExtractor.from_model_config(config, max_regions=arguments.max_regions)
    return RegionTextProcessor(extractor, tokenizer, append_mask=append_mask)


def build_model(
    arguments: ModelArguments, config: VisionLanguageConfig, auto_class: type = AutoModelForPreTraining
) -> PreTrainedModel:
    """A model to train: fresh, with a trained BERT's text layers, or trained before.

    Args:
        arguments: What to start from, and the attention backend.
        config: Of the model.
        auto_class: What finds the class for a config; it says what the model is for.

    Returns:
        The model, in training mode. What is new in it is logged.

    Raises:
        ValueError: If weights below the heads do not fit `config`.
    """
    if arguments.from_pretrained:
        model = _start_from(arguments.from_pretrained, config, auto_class, arguments.attn_implementation)
    else:
        model = auto_class.from_config(config, attn_implementation=arguments.attn_implementation)
    if arguments.from_bert:
        model, report = type(model).from_bert(arguments.from_bert, model.config)
        logger.info("%s: %s", arguments.from_bert, report)
    return _ready_to_train(model, arguments)


def starting_model(
    arguments: RunArguments[Any],
    config: VisionLanguageConfig,
    auto_class: type = AutoModelForPreTraining,
    checkpoint: Path | None = None,
) -> PreTrainedModel:
    """The model that a run starts from, or goes on with.

    Args:
        arguments: Of the run.
        config: Of the model.
        auto_class: What the model is for.
        checkpoint: Where the run continues, None for its beginning.

    Returns:
        The model, in training mode; that of a checkpoint exactly as it was. What is new in it is the same for the same
        seed.

    Raises:
        ValueError: See `build_model`.
    """
    set_seed(arguments.training.seed)
    if checkpoint is None:
        return build_model(arguments.model, config, auto_class)
    model = auto_class.from_pretrained(checkpoint, attn_implementation=arguments.model.attn_implementation)
    return _ready_to_train(model, arguments.model)


def _start_from(path: str, config: VisionLanguageConfig, auto_class: type, attention: str) -> PreTrainedModel:
    """A model with the weights of a folder whose heads may be others."""
    model, info = auto_class.from_pretrained(
        path,
        config=config,
        attn_implementation=attention,
        ignore_mismatched_sizes=True,  # a head for other answers; everything else is refused below
        output_loading_info=True,
    )
    trunk = f"{model.base_model_prefix}."
    mismatched = [(name, tuple(saved), tuple(wanted)) for name, saved, wanted in sorted(info["mismatched_keys"])]
    for name, saved, wanted in mismatched:
        if name.startswith(trunk):
            raise ValueError(
                f"{path}: {name} has the shape {saved}, the config wants {wanted}: leave out the config_overrides "
                "that change the size of the model"
            )
    new = sorted(info["missing_keys"])
    if new or mismatched:
        logger.warning("%s brings no values for these weights, which start fresh: %s", path, _shortened(new) or "none")
        for name, saved, wanted in mismatched:
            logger.warning("%s starts fresh: it has the shape %s in %s, %s here", name, saved, path, wanted)
    else:
        logger.info("all weights come from %s", path)
    if info["unexpected_keys"]:
        logger.info("not used of %s: %s", path, _shortened(sorted(info["unexpected_keys"])))
    return model


def _shortened(names: list[str], shown: int = 12) -> str:
    rest = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {rest} more" if rest > 0 else "")


def _ready_to_train(model: PreTrainedModel, arguments: ModelArguments) -> PreTrainedModel:
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model.train()
