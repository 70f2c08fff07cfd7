"""From arguments to config, processor and model."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from transformers import AutoConfig, AutoModelForPreTraining, AutoTokenizer, PreTrainedModel

import modeling_vl  # noqa: F401  registers the Auto classes
from configuration_vl import RELEASED_CONFIGS, ViLBertConfig, VisualBertConfig, released_config
from configuration_vl.configuration_vision_language import VisionLanguageConfig
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor

from .arguments import ModelArguments

logger = logging.getLogger(__name__)

CONFIG_CLASSES: dict[str, type[VisionLanguageConfig]] = {
    config_class.model_type: config_class for config_class in (ViLBertConfig, VisualBertConfig)
}


def load_config(arguments: ModelArguments) -> VisionLanguageConfig:
    """The config that the arguments name, with their overrides.

    Args:
        arguments: `config` and `config_overrides`, or `from_pretrained`.

    Returns:
        The config.

    Raises:
        ValueError: If no config is named, it is of neither model, or an override is no field of it.
    """
    if arguments.from_pretrained:
        return AutoConfig.from_pretrained(arguments.from_pretrained)
    name = arguments.config
    if name is None:
        raise ValueError(
            f"which model? Give config: one of {', '.join((*CONFIG_CLASSES, *RELEASED_CONFIGS))}, or a file or folder"
        )
    if name in CONFIG_CLASSES:
        return change_config(CONFIG_CLASSES[name], {}, arguments.config_overrides)
    config = released_config(name) if name in RELEASED_CONFIGS else _saved_config(name)
    return change_config(type(config), config.to_dict(), arguments.config_overrides)


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
    config_class: type[VisionLanguageConfig], fields: dict[str, Any], changes: dict[str, Any] | None
) -> VisionLanguageConfig:
    """A config with some fields changed, checked as a whole.

    Args:
        config_class: Its class.
        fields: What it starts from.
        changes: Fields to replace.

    Returns:
        The config.

    Raises:
        ValueError: If a change names no field, or the fields contradict each other.
    """
    known = {field.name for field in dataclasses.fields(config_class)}
    unknown = sorted(set(changes or {}) - known)
    if unknown:
        raise ValueError(f"config_overrides names {unknown}, which are no fields of {config_class.__name__}")
    return config_class(**{**fields, **(changes or {})})


def load_processor(arguments: ModelArguments, config: VisionLanguageConfig) -> RegionTextProcessor:
    """The processor that fits a config.

    Args:
        arguments: `tokenizer`, or a model that brings one.
        config: Of the model.

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
    return RegionTextProcessor(extractor, tokenizer)


def build_model(arguments: ModelArguments, config: VisionLanguageConfig) -> PreTrainedModel:
    """A model for pre-training: fresh, with a trained BERT's text layers, or pre-trained before.

    Args:
        arguments: What to start from, and the attention backend.
        config: Of the model.

    Returns:
        The model, in training mode.
    """
    attention = arguments.attn_implementation
    if arguments.from_pretrained:
        model = load_model(arguments.from_pretrained, arguments)
    else:
        model = AutoModelForPreTraining.from_config(config, attn_implementation=attention)
    if arguments.from_bert:
        model, report = type(model).from_bert(arguments.from_bert, model.config)
        logger.info("%s: %s", arguments.from_bert, report)
    return _ready_to_train(model, arguments)


def load_model(path: str | Path, arguments: ModelArguments) -> PreTrainedModel:
    """A saved model, or that of a checkpoint.

    Args:
        path: Folder or Hub id.
        arguments: The attention backend, and whether to compute layers again.

    Returns:
        The model, in training mode.
    """
    model = AutoModelForPreTraining.from_pretrained(path, attn_implementation=arguments.attn_implementation)
    return _ready_to_train(model, arguments)


def _ready_to_train(model: PreTrainedModel, arguments: ModelArguments) -> PreTrainedModel:
    if arguments.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    return model.train()
