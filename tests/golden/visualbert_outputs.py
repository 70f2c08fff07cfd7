"""Outputs of VisualBERT in uclanlp's code, MMF and transformers, by the names the golden files give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from modeling_vl.outputs import PreTrainingOutput, VisualBertModelOutput
from tests.golden.harness import Case, Ours, base_model, by_rules
from tests.golden.vilbert_outputs import ours_labels

INPUTS = {
    "uclanlp": {
        "bert_input_ids": "input_ids",
        "bert_input_type_ids": "token_type_ids",
        "bert_input_mask": "attention_mask",
        "image_feat_variable": "visual_embeds",
        "image_mask": "visual_attention_mask",
    },
    "mmf": {
        "input_ids": "input_ids",
        "segment_ids": "token_type_ids",
        "input_mask": "attention_mask",
        "image_feature_0": "visual_embeds",
        "image_mask": "visual_attention_mask",
    },
    "transformers": {
        name: name
        for name in (
            "input_ids",
            "token_type_ids",
            "attention_mask",
            "visual_embeds",
            "visual_attention_mask",
            "visual_token_type_ids",
        )
    },
}

NOT_COMPARED: dict[str, str] = {}

# What a prefix of an output's name changes about the forward pass: argument of ours to input of the file.
VARIANTS: dict[str, dict[str, str | None]] = {
    "alignment": {"image_text_alignment": "image_text_alignment"},
    "with_alignment": {"image_text_alignment": "image_text_alignment"},
    "alignment_long": {"image_text_alignment": "image_text_alignment_long"},
    "visual_type": {"visual_token_type_ids": "visual_embeddings_type"},
    "default_visual_type": {"visual_token_type_ids": None},
    "no_next_sentence": {},
    "base": {},
    "text_only": {"visual_embeds": None, "visual_attention_mask": None, "visual_token_type_ids": None},
    "base_text_only": {"visual_embeds": None, "visual_attention_mask": None},
}


def visualbert_outputs(case: Case) -> Iterator[tuple[str, Ours]]:
    """Every stored output of a VisualBERT file.

    Args:
        case: File, backend and layout.

    Yields:
        Name of the stored output, and our number.
    """
    names = INPUTS[case.golden.code_base]
    inputs = {ours: case.inputs[name] for name, ours in names.items()}
    yield from _forward_pass(case, inputs, "")
    for prefix, changes in VARIANTS.items():
        given = {ours: None if name is None else case.inputs.get(name) for ours, name in changes.items()}
        yield from _forward_pass(case, {**inputs, **given}, f"{prefix}.")
    yield from _forward_pass(
        case,
        {**inputs, "visual_token_type_ids": torch.ones(inputs["visual_embeds"].shape[:2], dtype=torch.long)},
        "base_visual_type1.",
    )


def _forward_pass(case: Case, inputs: dict[str, Tensor | None], prefix: str) -> Iterator[tuple[str, Ours]]:
    stored = [name for name in case.outputs if _prefix(name.removeprefix("losses.")) == prefix]
    if not stored:
        return
    base = base_model(case.plain)
    states = base(**inputs, output_hidden_states=True, output_attentions=case.wants_attentions)
    heads = None if case.plain is base else _with_heads(case, inputs, prefix)
    mask = inputs["attention_mask"]
    if inputs["visual_embeds"] is not None:
        mask = torch.cat((mask, inputs["visual_attention_mask"]), dim=1)
    rules = state_rules(case, inputs["attention_mask"], mask, states)
    rules |= {} if heads is None else head_rules(case, heads, mask, prefix)
    yield from by_rules({name: name.replace(prefix, "", 1) for name in stored}, rules)


def _prefix(name: str) -> str:
    head, dot, _ = name.partition(".")
    return head + dot if head in VARIANTS or head == "base_visual_type1" else ""


def state_rules(
    case: Case, text_mask: Tensor, mask: Tensor, states: VisualBertModelOutput
) -> dict[str, Callable[..., Ours]]:
    """States, pooled vector and attention weights."""
    bypass = case.plain.config.bypass_transformer

    def after_layer(index: int) -> Ours:
        return Ours("states", states.hidden_states[index + 1], text_mask if bypass else mask)

    def weights(index: int, of: Tensor) -> Ours:
        return Ours("attention", None if states.attentions is None else states.attentions[index], of)

    pooled = Ours("pooled", states.pooler_output)
    return {
        r"last_hidden_state|sequence_output": lambda: Ours("states", states.last_hidden_state, mask),
        r"pooler_output|pooled_output|hook\.pooler|all_encoded_layers\.pooled_output": lambda: pooled,
        r"hook\.embeddings|hidden_states\.0": lambda: Ours("states", states.hidden_states[0], mask),
        r"hidden_states\.([1-9]\d*)": lambda i: after_layer(i - 1),
        r"hook\.encoder\.layer\.(\d+)(?:\.0)?|all_encoded_layers\.(\d+)": after_layer,
        r"hook\.encoder\.layer\.(\d+)\.1": lambda i: weights(i, text_mask if bypass else mask),
        r"attentions\.(\d+)|attention_weights\.(\d+)": lambda i: weights(i, mask),
        r"hook\.additional_layer(?:\.0)?": lambda: Ours("states", states.hidden_states[-1], mask),
        r"hook\.additional_layer\.1": lambda: weights(-1, mask),
    }


def _with_heads(case: Case, inputs: dict[str, Tensor | None], prefix: str) -> PreTrainingOutput:
    labels: dict[str, Any] = {}
    if case.golden.code_base == "transformers":
        labels = {name: case.inputs[name] for name in ("labels", "sentence_image_labels")}
    elif case.golden.code_base == "mmf":
        labels = {"labels": ours_labels(case.inputs["lm_label_ids"])}
    else:
        labels = {"labels": ours_labels(case.inputs["masked_lm_labels"])}
        if prefix != "no_next_sentence.":
            # The code base means 1 by a match, we mean 0.
            labels["sentence_image_labels"] = 1 - case.inputs["is_random_next"].flatten()
    return case.plain(**inputs, **labels, return_logits=True)


def head_rules(case: Case, output: PreTrainingOutput, mask: Tensor, prefix: str) -> dict[str, Callable[..., Ours]]:
    """Logits and losses."""
    alignment = output.seq_relationship_logits
    if case.golden.code_base == "uclanlp":
        alignment = alignment.flip(-1)
    return {
        r"logits|prediction_logits": lambda: Ours("logits", output.prediction_logits, mask),
        r"seq_relationship_score|seq_relationship_logits": lambda: Ours("pooled", alignment),
        r"(?:losses\.)?loss": lambda: Ours("loss", output.loss),
        r"(?:losses\.)?(?:masked_coco/train/)?masked_lm_loss|loss_mlm_only": lambda: Ours("loss", output.mlm_loss),
        r"losses\.(?:next_sentence_loss|sentence_image_loss)": lambda: Ours("loss", output.alignment_loss),
    }
