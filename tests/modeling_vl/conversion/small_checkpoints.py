"""Small checkpoints of other code bases, taken from the committed golden files."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from modeling_vl.conversion import CODE_BASES, Conversion, convert
from tests.golden import fixtures

NAMES = {
    "vilbert_beta": "vilbert_beta_A_BertForMultiModalPreTraining",
    "vilbert_multi_task": "vilbert_mt_B_BertModel",
    "volta_vilbert": "volta_vilbert_A_BertForVLPreTraining",
    "volta_visualbert": "volta_visualbert_B_BertForVLPreTraining",
    "mmf_vilbert": "mmf_vilbert_B_nce_ViLBERTForPretraining",
    "mmf_visualbert": "mmf_visualbert_B_VisualBERTForPretraining",
    "uclanlp": "uclanlp_visualbert_B_pretraining",
    "transformers": "hf_visualbert_B_VisualBertForPreTraining",
    "vilbert_beta_base": "vilbert_beta_base_B_BaseBertForVLTasks",
}
"""Checkpoints with pre-training heads, or none."""

FINE_TUNED = {
    "vilbert_beta_base": NAMES["vilbert_beta_base"],
    "vilbert_multi_task": "vilbert_mt_A_VILBertForVLTasks",
    "volta_visualbert": "volta_visualbert_B_BertForVLTasks",
    "mmf_visualbert": "mmf_visualbert_B_VisualBERTForClassification_nlvr2",
    "uclanlp": "uclanlp_visualbert_B_flickr",
    "transformers": "hf_visualbert_B_VisualBertForRegionToPhraseAlignment",
}
"""Checkpoints with task heads."""


def checkpoint(kind: str, names: dict[str, str] = NAMES) -> tuple[dict, dict[str, Tensor]]:
    """Config and weights of one of `NAMES` or `FINE_TUNED`, a fresh copy of both."""
    golden = fixtures.load(fixtures.COMMITTED, names[kind])
    return dict(golden.config), {name: tensor.clone() for name, tensor in golden.weights.items()}


def code_base_name(kind: str) -> str:
    """Key of `CODE_BASES`."""
    return kind if kind in CODE_BASES else kind.partition("_")[0]


def convert_small(
    kind: str, config: dict, state: dict[str, Tensor], match_row: int | None = None, **options: Any
) -> Conversion:
    """Convert such a checkpoint."""
    return convert(CODE_BASES[code_base_name(kind)], config, state, match_row, **options)
