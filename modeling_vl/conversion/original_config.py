"""Reading another code base's config so that no key is ignored silently."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEXT_FIELDS = {
    name: name
    for name in (
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "hidden_act",
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "max_position_embeddings",
        "type_vocab_size",
        "initializer_range",
    )
}
"""BERT's fields, called the same everywhere."""

RESTATED_BERT = "bert-base-uncased"


class OriginalConfig:
    """The config of a checkpoint, which remembers what was asked of it.

    Args:
        values: The config as its code base takes it.
        code_base: Name for messages.

    Attributes:
        unused: Keys that change nothing in our model, with the reason.
        notes: What a reader of the conversion should know.
    """

    def __init__(self, values: Mapping[str, Any], code_base: str) -> None:
        self.values = dict(values)
        self.code_base = code_base
        self.unused: dict[str, str] = {}
        self.notes: list[str] = []
        self._asked: set[str] = set()

    def take(self, key: str, default: Any) -> Any:
        """Read one key.

        Args:
            key: Its name in the code base.
            default: What the code base takes when the config is silent.

        Returns:
            The value.
        """
        self._asked.add(key)
        self.unused.pop(key, None)
        return self.values.get(key, default)

    def take_fields(self, names: Mapping[str, str], *, required: bool) -> dict[str, Any]:
        """Fields that only change their name.

        Args:
            names: Original name to ours.
            required: Whether each must be there. What is not required and not there is left to our default.

        Returns:
            Arguments of our config.

        Raises:
            ValueError: Naming the required keys that are missing.
        """
        self._asked.update(names)
        missing = [key for key in names if key not in self.values]
        if required and missing:
            raise ValueError(
                f"the {self.code_base} config lacks {', '.join(missing)}: give the config that the checkpoint was "
                "trained with"
            )
        return {ours: self.values[key] for key, ours in names.items() if key in self.values}

    def take_bert_fields(self) -> dict[str, Any]:
        """BERT's fields where the code base reads them from the BERT it starts from, BERT base when it is that.

        Raises:
            ValueError: When the config names another BERT and not its sizes.
        """
        name = self.values.get("bert_model_name")
        self.leave({"bert_model_name": "names the BERT that training started from"})
        return self.take_fields(TEXT_FIELDS, required=name not in (None, RESTATED_BERT))

    def leave(self, reasons: Mapping[str, str]) -> None:
        """Note keys that change nothing in our model, each with the reason."""
        self.unused |= {key: reason for key, reason in reasons.items() if key in self.values}

    @property
    def unknown(self) -> list[str]:
        """Keys that were neither taken nor left."""
        return sorted(set(self.values) - self._asked - set(self.unused))
