"""Checkpoints of uclanlp/visualbert, the code of the VisualBERT paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_visualbert import VisualBertConfig

from .original_config import OriginalConfig
from .renaming import CodeBase, Rule
from .task_heads import UCLANLP_TASK_HEADS
from .visualbert_names import visualbert_rules

NAME = "uclanlp/visualbert"

MODEL_FIELDS = {name: name for name in ("visual_embedding_dim", "special_visual_initialize", "bypass_transformer")}

TRAINING_KEYS = (
    "class_embs",
    "coco_only",
    "data_root",
    "dataset",
    "detector_path",
    "do_lower_case",
    "do_test",
    "epoch_to_load",
    "eval_batch_size",
    "exclude_minival",
    "expand_coco",
    "expanded",
    "false_caption_ratio",
    "grad_norm",
    "gradient_accumulation_steps",
    "image_feature_reader",
    "image_feature_type",
    "image_screening_parameters",
    "learning_rate",
    "limit_trainset_size",
    "masked_lm_prob",
    "max_seq_length",
    "no_next_sentence",
    "num_train_epochs",
    "num_workers",
    "only_use_relevant_dets",
    "patience",
    "pretraining",
    "pretraining_include_qa",
    "report",
    "restore_bin",
    "skip_training",
    "test_on_hidden",
    "text_only",
    "train_batch_size",
    "two_sentence",
    "type",
    "val_workers",
    "vcr_image_dir_name",
    "warmup_proportion",
)
"""Keys of `visualbert/configs/*/*.json` that say how to train and where the data lie."""


def config_from_uclanlp(values: Mapping[str, Any]) -> tuple[VisualBertConfig, OriginalConfig]:
    """Our configuration of a `visualbert/configs/*/*.json`.

    Such a file names its BERT, whose sizes are BERT base's unless the config gives others beside them, and holds the
    model's own options under "model".

    Args:
        values: The config, nested or flat.

    Returns:
        Our configuration, and the config with what was asked of it.

    Raises:
        ValueError: When the BERT is another one than BERT base and its sizes are not given.
    """
    original = OriginalConfig({**values, **values.get("model", {})}, NAME)
    original.values.pop("model", None)
    original.leave(dict.fromkeys(TRAINING_KEYS, "how to train, not what the model computes"))
    original.leave({"training_head_type": "read off the checkpoint"})
    fields = original.take_bert_fields() | original.take_fields(MODEL_FIELDS, required=False)
    return VisualBertConfig(**fields), original


def _rules(config: VisualBertConfig, original: OriginalConfig) -> list[Rule]:
    return [*visualbert_rules(config), *UCLANLP_TASK_HEADS]


UCLANLP = CodeBase(NAME, config_from_uclanlp, _rules, match_row=1)
"""It calls its sentence-image label `is_random_next` and means the opposite: 1 is a match."""
