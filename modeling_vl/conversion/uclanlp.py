"""Checkpoints of uclanlp/visualbert, the code of the VisualBERT paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from configuration_vl.configuration_visualbert import VisualBertConfig

from .code_base_heads import visualbert_heads
from .original_config import OriginalConfig
from .renaming import CodeBase
from .rules import Rule, drop
from .visualbert_names import visualbert_rules

NAME = "uclanlp/visualbert"

MODEL_FIELDS = {
    name: name
    for name in ("visual_embedding_dim", "special_visual_initialize", "bypass_transformer", "visual_token_type_id")
}

TRAINING_KEYS = (
    "add_all_features",
    "add_spatial_features",
    "class_embs",
    "coco_only",
    "complete_shuffle",
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
    "fp16",
    "freeze_detector",
    "grad_norm",
    "gradient_accumulation_steps",
    "image_feat_directory",
    "image_feature_reader",
    "image_feature_type",
    "image_screening_parameters",
    "include_res152",
    "learning_rate",
    "limit_trainset_size",
    "loss_scale",
    "masked_lm_prob",
    "max_seq_length",
    "no_next_sentence",
    "num_train_epochs",
    "num_workers",
    "only_use_relevant_dets",
    "patience",
    "pretraining",
    "pretraining_include_qa",
    "pretraining_include_qa_and_qar",
    "pretraining_include_qar",
    "rationale",
    "report",
    "restore_bin",
    "skip_training",
    "special_screen",
    "test_on_hidden",
    "text_only",
    "train_batch_size",
    "two_sentence",
    "type",
    "use_alignment",
    "use_bert",
    "use_detector",
    "use_fixed_feature",
    "use_visual_genome",
    "val_workers",
    "vcr_annots_dir",
    "vcr_image_dir",
    "vcr_image_dir_name",
    "vcr_save_result",
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
    return [
        *visualbert_rules(config),
        drop(r"detector\..+", "the image network of VCR models; regions come with features here"),
    ]


TASK_HEADS = visualbert_heads(classifier="classifier", attention="flickr_attention")
"""VQA, NLVR2, VCR and Flickr30k checkpoints; a "vqa_advanced" one predicts masked words of the answer."""

UCLANLP = CodeBase(NAME, config_from_uclanlp, _rules, TASK_HEADS, match_row=1)
"""It calls its sentence-image label `is_random_next` and means the opposite: 1 is a match."""
