"""Checkpoints of jiasenlu/vilbert_beta, the code of the ViLBERT paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_vilbert import ViLBertConfig

from .code_base_heads import VILBERT_BETA_HEADS
from .original_config import OriginalConfig
from .renaming import CodeBase
from .vilbert_names import full_text_fields, vilbert_and_task_rules, vilbert_fields

NAME = "vilbert_beta"


def config_from_vilbert_beta(values: Mapping[str, Any]) -> tuple[ViLBertConfig, OriginalConfig]:
    """Our configuration of a `config/bert_*_connect.json`.

    `predict_feature` chooses between the squared error of the features and the KL divergence of the classes.

    Args:
        values: The config.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When a key is missing or fields contradict each other.
    """
    original = OriginalConfig(values, NAME)
    target = "mse" if original.take("predict_feature", False) else "kl"
    return ViLBertConfig(**vilbert_fields(original, full_text_fields(original), target)), original


VILBERT_BETA = CodeBase(NAME, config_from_vilbert_beta, vilbert_and_task_rules, VILBERT_BETA_HEADS)
"""Row 0 of its alignment head is the match."""
