"""Outputs of VOLTA's ViLBERT and VisualBERT, by the names the golden files give them.

VOLTA counts attention and feed-forward as sub-layers of their own. The states behind an attention are not among the
states our models record, so they are taken with hooks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from modeling_vl.conversion.volta import REGION_TARGET_NAMES
from modeling_vl.conversion.volta_sublayers import LISTS
from modeling_vl.losses import IGNORE_INDEX
from modeling_vl.outputs import PreTrainingOutput
from tests.golden.harness import Case, Ours, Recorder, base_model, by_rules, padded
from tests.golden.vilbert_outputs import INPUTS, ours_labels

NOT_COMPARED: dict[str, str] = {}

REGION_INPUTS = {
    "image_cls": "region_class_probs",
    "obj_labels": "object_ids",
    "obj_confs": "object_scores",
    "attr_labels": "attribute_ids",
    "attr_confs": "attribute_scores",
}

States = dict[int, tuple[Tensor, Tensor]]
Weights = dict[tuple[str, int, str], Tensor]


def volta_outputs(case: Case) -> Iterator[tuple[str, Ours]]:
    """Every stored output of a VOLTA file.

    Args:
        case: File, backend and layout.

    Yields:
        Name of the stored output, and our number.
    """
    inputs = {ours: case.inputs[name] for name, ours in INPUTS.items()}
    base, model = base_model(case.plain), case.plain
    is_vilbert = case.golden.config["image_embeddings"] == "vilbert"
    with Recorder(_attention_blocks(base)) as recorder:
        states = base(**inputs, output_hidden_states=True, output_attentions=case.wants_attentions)
    text_mask, visual_mask = inputs["attention_mask"], inputs["visual_attention_mask"]
    sublayers, weights = (_two_streams if is_vilbert else _one_stream)(case, states, recorder.outputs, inputs)
    output = model(**inputs, **_labels(case, inputs), return_logits=True)

    def state(stream: str, index: int) -> Ours:
        mask = text_mask if stream == "t" else visual_mask
        return Ours("states", sublayers[index - 1][stream == "v"], mask)

    def attention(stream: str, sublayer: int, kind: str) -> Ours:
        found = weights.get((stream, sublayer, kind)) if case.wants_attentions else None
        return Ours("attention", found, text_mask if stream == "t" else visual_mask)

    pooled = states.pooler_output, states.visual_pooler_output
    rules: dict[str, Callable[..., Ours]] = {
        r"encoded_layers_([tv])\.(\d+)": state,
        r"sequence_output_([tv])": lambda stream: state(stream, max(sublayers) + 1),
        r"attention_([tv])\.sublayer(\d+)\.(intra|inter)_attn": attention,
        r"pooled_output_([tv])": lambda stream: Ours("pooled", pooled[stream == "v"]),
        r"pooled_output": lambda: Ours("pooled", _fused(model.config.fusion_method, *pooled)),
        r"prediction_scores_t": lambda: Ours("logits", output.prediction_logits[:, : text_mask.shape[1]], text_mask),
        r"prediction_scores_v\.(\d)": lambda target: Ours(
            "logits", output.region_logits[REGION_TARGET_NAMES[str(target)]], visual_mask
        ),
        r"seq_relationship_score": lambda: Ours("pooled", output.seq_relationship_logits),
        **_loss_rules(case, output),
    }
    yield from by_rules({name: name for name in case.outputs}, rules)


def _loss_rules(case: Case, output: PreTrainingOutput) -> dict[str, Callable[..., Ours]]:
    def weighted(target: int) -> Ours:
        name = REGION_TARGET_NAMES[str(target)]
        return Ours("loss", case.plain.config.region_targets[name] * output.region_losses[name])

    return {
        r"(?:losses\.)?masked_lm_loss": lambda: Ours("loss", output.mlm_loss),
        r"(?:losses\.)?img_loss": lambda: Ours("loss", output.region_loss),
        r"(?:losses\.)?img_loss_target_(\d)\(weight .+\)": weighted,
        r"(?:losses\.)?next_sentence_loss": lambda: Ours("loss", output.alignment_loss),
    }


def _labels(case: Case, inputs: dict[str, Tensor]) -> dict[str, Any]:
    """Labels with a column for the global region, which VOLTA's have not."""
    sides = {"first": (1, 0), "last": (0, 1), None: (0, 0)}[case.plain.config.global_region]
    labels = {
        "labels": ours_labels(case.inputs["masked_lm_labels"]),
        "sentence_image_labels": case.inputs["next_sentence_label"],
        "region_labels": pad(ours_labels(case.inputs["image_label"]), sides, value=IGNORE_INDEX),
        # VOLTA regresses the features as they come, masked ones zeroed.
        "region_features": inputs["visual_embeds"],
    }
    for name, ours in REGION_INPUTS.items():
        values = case.inputs[name]
        labels[ours] = pad(values, (0, 0, *sides) if values.dim() == 3 else sides)
    return labels


def _fused(method: str, text: Tensor, image: Tensor | None) -> Tensor:
    if method == "text":
        return text
    return text * image if method == "mul" else text + image


def _attention_blocks(base: nn.Module) -> dict[str, nn.Module]:
    """Everything that VOLTA calls an attention sub-layer."""
    kinds = r"(text_layers|visual_layers|layer)\.\d+\.attention|coattention_layers\.\d+\.\w+_attends_\w+"
    return {name: module for name, module in base.encoder.named_modules() if re.fullmatch(kinds, name)}


def _two_streams(case: Case, states: Any, blocks: dict[str, Any], inputs: dict[str, Tensor]) -> tuple[States, Weights]:
    """States of text and regions behind each sub-layer (-1: embeddings), and weights by stream, sub-layer, kind."""
    lists = {name: set(case.golden.config.get(name, [])) for name in LISTS}
    masks = inputs["attention_mask"], inputs["visual_attention_mask"]
    recorded = iter(states.hidden_states), iter(states.visual_hidden_states)
    current = [next(recorded[0]), next(recorded[1])]
    sublayers, weights, done = {-1: (current[0], current[1])}, {}, {"text": 0, "visual": 0, "co": 0}
    fields = ("attentions", "visual_attentions", "text_attends_visual", "visual_attends_text")
    maps = {name: getattr(states, name) or () for name in fields}
    streams = (("t", "text", "attentions"), ("v", "visual", "visual_attentions"))
    for number in sorted(set.union(*lists.values())):
        if number in lists["tv_attn_sublayers"]:
            prefix = f"coattention_layers.{done['co']}"
            names = f"{prefix}.text_attends_visual", f"{prefix}.visual_attends_text"
            current = [padded(blocks[name][0], mask) for name, mask in zip(names, masks, strict=True)]
            for stream, field in (("t", "text_attends_visual"), ("v", "visual_attends_text")):
                weights |= {(stream, number, "inter"): maps[field][done["co"]]} if maps[field] else {}
            done["co"] += 1
        for index, (stream, kind, field) in enumerate(streams):
            if number in lists[f"{stream}{stream}_attn_sublayers"]:
                current[index] = padded(blocks[f"{kind}_layers.{done[kind]}.attention"][0], masks[index])
                weights |= {(stream, number, "intra"): maps[field][done[kind]]} if maps[field] else {}
                done[kind] += 1
            if number in lists[f"{stream}_ff_sublayers"]:
                current[index] = next(recorded[index])
        sublayers[number] = (current[0], current[1])
    return sublayers, weights


def _one_stream(case: Case, states: Any, blocks: dict[str, Any], inputs: dict[str, Tensor]) -> tuple[States, Weights]:
    """As `_two_streams`, text and regions cut out of the joint sequence."""
    text = inputs["input_ids"].shape[1]
    mask = torch.cat((inputs["attention_mask"], inputs["visual_attention_mask"]), dim=1)

    def cut(joint: Tensor) -> tuple[Tensor, Tensor]:
        return joint[:, :text], joint[:, text:]

    sublayers, weights = {-1: cut(states.hidden_states[0])}, {}
    for layer, number in enumerate(sorted(case.golden.config["tt_attn_sublayers"])):
        sublayers[number] = cut(padded(blocks[f"layer.{layer}.attention"][0], mask))
        sublayers[number + 1] = cut(states.hidden_states[layer + 1])
        if states.attentions:
            whole = states.attentions[layer]
            weights |= {
                ("t", number, "intra"): whole[:, :, :text, :text],
                ("t", number, "inter"): whole[:, :, :text, text:],
                ("v", number, "intra"): whole[:, :, text:, text:],
                ("v", number, "inter"): whole[:, :, text:, :text],
            }
    return sublayers, weights
