"""What transformers' tests ask of a "model tester": a tiny configuration, inputs and labels for all our classes."""

from __future__ import annotations

from typing import Any

import torch
from transformers import PreTrainedConfig

import modeling_vl

HEADS = (
    "PreTraining",
    "MaskedLM",
    "VisualQuestionAnswering",
    "MultipleChoice",
    "SequenceClassification",
    "ImageTextRetrieval",
    "RegionGrounding",
    "PhraseGrounding",
    "MultiTask",
)

TWO_STREAMS = {
    "visual_hidden_size": 24,
    "visual_num_hidden_layers": 1,
    "visual_num_attention_heads": 2,
    "visual_intermediate_size": 28,
    "coattention_hidden_size": 18,
    "coattention_num_attention_heads": 3,
    "text_coattention_ids": [1],
    "visual_coattention_ids": [0],
}


def classes_of(model: str) -> tuple[type, ...]:
    """The class without a head, and those with one, of "ViLBert" or "VisualBert"."""
    return tuple(getattr(modeling_vl, f"{model}{name}") for name in ("Model", *(f"For{head}" for head in HEADS)))


class ModelTester:
    """Attributes have the names that transformers' tests read.

    Args:
        model: "ViLBert" or "VisualBert".
        **fields: Fields of the configuration, instead of those used otherwise.
    """

    is_training = True
    batch_size = 7  # what the comparison of attention functions asks for; it would fill up smaller batches at random
    seq_length, num_regions = 7, 5
    hidden_size, num_hidden_layers, num_attention_heads = 32, 2, 4
    vocab_size, num_labels, num_choices, num_phrases = 50, 3, 3, 2
    visual_embedding_dim, num_region_classes = 6, 4

    def __init__(self, model: str, **fields: Any) -> None:
        self.model, self.fields = model, fields
        if model == "ViLBert":
            self.num_hidden_states_types = 2  # of words and of regions
            self.expected_num_hidden_layers = 1 + self.num_hidden_layers + len(TWO_STREAMS["text_coattention_ids"])
        else:
            self.encoder_seq_length = self.seq_length + self.num_regions

    def config_fields(self) -> dict[str, Any]:
        """Fields of a tiny configuration."""
        read_by_tests = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
        return {
            **{name: getattr(self, name) for name in (*read_by_tests, "visual_embedding_dim", "num_region_classes")},
            "intermediate_size": 37,
            "max_position_embeddings": 16,
            "region_targets": {"kl": 1.0},
            "multi_task_heads": {"vqa": {"kind": "question_answering"}, "nlvr2": {"kind": "classification"}},
            **(TWO_STREAMS if self.model == "ViLBert" else {}),
            **self.fields,
        }

    def get_config(self) -> PreTrainedConfig:
        """A tiny configuration."""
        config_class = getattr(modeling_vl, f"{self.model}Config")
        return config_class(num_labels=self.num_labels, **self.config_fields())

    def prepare_config_and_inputs_for_common(self) -> tuple[PreTrainedConfig, dict[str, Any]]:
        """The configuration, and inputs of a class without a head, padded in texts and images."""
        words, regions = (self.batch_size, self.seq_length), (self.batch_size, self.num_regions)
        inputs = {
            "input_ids": torch.randint(1, self.vocab_size, words),
            "attention_mask": torch.ones(words, dtype=torch.long),
            "token_type_ids": torch.randint(2, words),
            "visual_embeds": torch.randn(*regions, self.visual_embedding_dim),
            "visual_locations": torch.rand(*regions, 5),
            "visual_attention_mask": torch.ones(regions, dtype=torch.long),
        }
        inputs["attention_mask"][1::2, -2:] = 0
        inputs["visual_attention_mask"][::2, -1:] = 0
        return self.get_config(), inputs

    def inputs_of(self, model_class: type, inputs: dict[str, Any]) -> dict[str, Any]:
        """Inputs of a class without a head, as one with a head takes them."""
        head = _head(model_class)
        if head == "MultipleChoice":
            words = {name: inputs[name] for name in ("input_ids", "attention_mask", "token_type_ids")}
            choices = {name: x[:, None].repeat(1, self.num_choices, 1) for name, x in words.items() if x is not None}
            return {**inputs, **choices}
        if head == "PhraseGrounding":
            return {**inputs, "phrase_positions": torch.tensor([2, 4]).repeat(self.batch_size, 1)}
        return {**inputs, "task": "vqa"} if head == "MultiTask" else inputs

    def labels_of(self, model_class: type) -> dict[str, Any]:
        """Labels of the whole batch, at places that are never padded."""
        classes = torch.ones(self.batch_size, dtype=torch.long)
        words = torch.full((self.batch_size, self.seq_length), -100)
        words[:, 3] = 1
        regions = torch.zeros(self.batch_size, self.num_regions)
        regions[:, 1:3] = 0.5
        probabilities = torch.full((*regions.shape, self.num_region_classes), 1 / self.num_region_classes)
        labels = {
            "PreTraining": {
                "labels": words,
                "sentence_image_labels": classes,
                "region_labels": (regions > 0).long(),
                "region_class_probs": probabilities,
            },
            "MaskedLM": {"labels": words},
            "ImageTextRetrieval": {"return_loss": True},
            "RegionGrounding": {"labels": regions},
            "PhraseGrounding": {"labels": regions[:, None].repeat(1, self.num_phrases, 1)},
        }
        head = _head(model_class)
        return labels.get(head, {"labels": classes}) if head else {}


def _head(model_class: type) -> str:
    return model_class.__name__.partition("For")[2]
