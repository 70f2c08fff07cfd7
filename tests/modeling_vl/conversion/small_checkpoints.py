"""Small checkpoints of other code bases, taken from the committed golden files."""

from __future__ import annotations

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
}


def checkpoint(kind: str) -> tuple[dict, dict[str, Tensor]]:
    """Config and weights, a fresh copy of both."""
    golden = fixtures.load(fixtures.COMMITTED, NAMES[kind])
    return dict(golden.config), {name: tensor.clone() for name, tensor in golden.weights.items()}


def code_base_name(kind: str) -> str:
    """Key of `CODE_BASES`."""
    return kind if kind in CODE_BASES else kind.partition("_")[0]


def convert_small(kind: str, config: dict, state: dict[str, Tensor], match_row: int | None = None) -> Conversion:
    """Convert a checkpoint of one of `NAMES`."""
    return convert(CODE_BASES[code_base_name(kind)], config, state, match_row)
