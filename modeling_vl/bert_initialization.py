"""Starting a model's text layers from a trained BERT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import AutoModel
from transformers.modeling_utils import PreTrainedModel


@dataclass(frozen=True)
class TextInitialization:
    """What `from_bert` did.

    Attributes:
        copied: BERT parameter to the parameter of ours that now holds its values.
        not_copied: BERT parameters that have no counterpart in the model.
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

    Args:
        model: The model to fill, changed in place.
        name_or_path: A BERT folder or Hub id, read with `AutoModel`.
        prefixes: Beginning of a BERT parameter's name to the beginning of its name in the model.
        copies: Further parameters of the model that get the values of a BERT parameter, by the model's name.

    Returns:
        What was and was not copied.

    Raises:
        ValueError: When the BERT is no BERT, or a parameter's shape differs; the message names both shapes.
    """
    bert = AutoModel.from_pretrained(name_or_path)
    if bert.config.model_type != "bert":
        raise ValueError(f"{name_or_path} holds a {bert.config.model_type!r} model; from_bert reads 'bert'")
    source, target = bert.state_dict(), dict(model.named_parameters())
    copied, not_copied = {}, []
    for name in source:
        prefix = next((prefix for prefix in prefixes if name.startswith(prefix)), None)
        renamed = None if prefix is None else prefixes[prefix] + name[len(prefix) :]
        if renamed in target:
            _copy(target[renamed], source[name], renamed, name, name_or_path)
            copied[name] = renamed
        else:
            not_copied.append(name)
    filled = set(copied.values())
    for renamed, name in (copies or {}).items():
        _copy(target[renamed], source[name], renamed, name, name_or_path)
        filled.add(renamed)
    return TextInitialization(copied, not_copied, [name for name in target if name not in filled])


def _copy(target: Tensor, source: Tensor, target_name: str, source_name: str, bert: str) -> None:
    if target.shape != source.shape:
        raise ValueError(
            f"{target_name} is {list(target.shape)} in the model, but {source_name} of {bert} is "
            f"{list(source.shape)}: "
            "give the config the text sizes of that BERT (hidden_size, vocab_size, max_position_embeddings, ...)"
        )
    target.copy_(source)
