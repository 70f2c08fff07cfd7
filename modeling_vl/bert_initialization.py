"""Starting a model's text layers from a trained BERT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import AutoConfig, BertForPreTraining
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import logging

SHARED_FIELDS = ("num_attention_heads", "hidden_act", "layer_norm_eps")
"""Config fields that change what the same weights compute, and that no shape tells."""

TOKEN_HEAD = "cls.predictions."
DECODER = f"{TOKEN_HEAD}decoder.weight"
WORDS = "embeddings.word_embeddings.weight"


@dataclass(frozen=True)
class TextInitialization:
    """What `from_bert` did. A BERT's parameters are named as in `BertModel`, those of its heads `cls.*`.

    Attributes:
        copied: BERT parameter to the parameter of ours that now holds its values.
        not_copied: What the checkpoint holds besides.
        fresh: Parameters of the model that stay freshly drawn.
    """

    copied: dict[str, str]
    not_copied: list[str]
    fresh: list[str]

    def __str__(self) -> str:
        """A summary of counts with the names that were not copied."""
        return (
            f"copied {len(self.copied)} parameters from BERT; {len(self.not_copied)} of BERT not copied "
            f"{self.not_copied}; {len(self.fresh)} of the model freshly drawn"
        )


@torch.no_grad()
def initialize_text_from_bert(
    model: PreTrainedModel,
    name_or_path: str,
    prefixes: Mapping[str, str],
    copies: Mapping[str, str] | None = None,
) -> TextInitialization:
    """Copy a BERT's parameters into a model.

    A model with a head for masked words also gets that of the BERT, where the checkpoint holds it.

    Args:
        model: The model to fill, changed in place.
        name_or_path: A BERT folder or Hub id.
        prefixes: Beginning of a BERT parameter's name to the beginning of its name in the base model.
        copies: Further parameters of the base model that get the values of a BERT parameter, by the base model's name.

    Returns:
        What was and was not copied.

    Raises:
        ValueError: When the BERT is no BERT, or computes in another way than the model, or a parameter's shape
            differs; the message names both sides.
    """
    _check_config(model.config, name_or_path)
    source, unexpected = _read_parameters(name_or_path)
    target = dict(model.named_parameters())
    base = "" if model.base_model is model else f"{model.base_model_prefix}."
    places = {**{prefix: base + ours for prefix, ours in prefixes.items()}, TOKEN_HEAD: TOKEN_HEAD}
    copied, not_copied = {}, []
    for name in source:
        prefix = next((prefix for prefix in places if name.startswith(prefix)), None)
        renamed = None if prefix is None else places[prefix] + name[len(prefix) :]
        if renamed in target:
            _copy(target[renamed], source[name], renamed, name, name_or_path)
            copied[name] = renamed
        else:
            not_copied.append(name)
    filled = set(copied.values())
    repeated = {base + ours: name for ours, name in (copies or {}).items()}
    if DECODER in target and DECODER not in filled:
        repeated[DECODER] = WORDS  # BERT's decoder is its word embeddings; ours is free, so it gets a copy
    for renamed, name in repeated.items():
        _copy(target[renamed], source[name], renamed, name, name_or_path)
        filled.add(renamed)
    return TextInitialization(copied, not_copied + unexpected, [name for name in target if name not in filled])


def _check_config(config: Any, name_or_path: str) -> None:
    bert = AutoConfig.from_pretrained(name_or_path)
    if bert.model_type != "bert":
        raise ValueError(f"{name_or_path} holds a {bert.model_type!r} model; from_bert reads 'bert'")
    differing = [
        f"{name} ({getattr(config, name)} in the config, {getattr(bert, name)} in the BERT)"
        for name in SHARED_FIELDS
        if getattr(config, name) != getattr(bert, name)
    ]
    if differing:
        raise ValueError(
            f"the layers of {name_or_path} would compute other numbers in this model, for these differ: "
            f"{', '.join(differing)}. Give the config the BERT's"
        )


def _read_parameters(name_or_path: str) -> tuple[dict[str, Tensor], list[str]]:
    """Parameters that the checkpoint really holds, and names that no BERT has."""
    # What transformers would say of heads that the checkpoint lacks is said by our report, without alarm.
    verbosity = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        bert, loading = BertForPreTraining.from_pretrained(name_or_path, output_loading_info=True)
    finally:
        logging.set_verbosity(verbosity)
    held = {name: value for name, value in bert.named_parameters() if name not in loading["missing_keys"]}
    return {name.removeprefix("bert."): value for name, value in held.items()}, sorted(loading["unexpected_keys"])


def _copy(target: Tensor, source: Tensor, target_name: str, source_name: str, bert: str) -> None:
    if target.shape != source.shape:
        raise ValueError(
            f"{target_name} is {list(target.shape)} in the model, but {source_name} of {bert} is "
            f"{list(source.shape)}: "
            "give the config the text sizes of that BERT (hidden_size, vocab_size, max_position_embeddings, ...)"
        )
    target.copy_(source)
