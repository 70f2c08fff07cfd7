"""Outputs of ViLBERT in vilbert_beta, vilbert-multi-task and MMF, by the names the golden files give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from modeling_vl.losses import IGNORE_INDEX
from modeling_vl.outputs import ViLBertModelOutput
from modeling_vl.streams import Pass, Stream
from tests.golden.harness import Case, Ours, base_model, by_rules

INPUTS = {
    "input_ids": "input_ids",
    "image_feat": "visual_embeds",
    "image_loc": "visual_locations",
    "token_type_ids": "token_type_ids",
    "attention_mask": "attention_mask",
    "image_attention_mask": "visual_attention_mask",
}
MMF_INPUTS = {
    "input_ids": "input_ids",
    "image_feature_0": "visual_embeds",
    "bbox": "visual_locations",
    "segment_ids": "token_type_ids",
    "input_mask": "attention_mask",
    "image_mask": "visual_attention_mask",
}

NOT_COMPARED = {
    r"direct_c_layer0_use_co_mask\..+": (
        "a co-attention mask given to one layer by hand; no model of the code base passes one, so it is not ported"
    ),
    r"nce_negative_index": "an input of ours: region_negative_indices",
    r"nce_scores": "scores inside the region loss; the loss is compared",
}


def model_inputs(case: Case) -> dict[str, Tensor]:
    """Our arguments of the file's main forward pass."""
    names = MMF_INPUTS if case.golden.code_base == "mmf" else INPUTS
    inputs = {ours: case.inputs[name] for name, ours in names.items()}
    if case.plain.config.num_task_tokens:
        inputs["task_ids"] = case.inputs["task_ids"].flatten()
    return inputs


def vilbert_outputs(case: Case) -> Iterator[tuple[str, Ours]]:
    """Every stored output of a ViLBERT file.

    Args:
        case: File, backend and layout.

    Yields:
        Name of the stored output, and our number.
    """
    inputs, wanted = model_inputs(case), set(case.outputs)
    base = base_model(case.plain)
    states = base(**inputs, output_hidden_states=True, output_attentions=case.wants_attentions)
    text_mask, visual_mask = masks(inputs)
    yield from main_outputs(states, text_mask, visual_mask, "", wanted)
    yield from recorded_outputs(case, states, text_mask, visual_mask)
    yield from variant_outputs(case, inputs, wanted)
    if case.plain is not base:
        yield from pretraining_outputs(case, inputs)


def masks(inputs: Mapping[str, Tensor]) -> tuple[Tensor | None, Tensor | None]:
    """Masks of the states, the text's with its task token."""
    mask = inputs.get("attention_mask")
    if mask is not None and "task_ids" in inputs:
        mask = torch.cat((mask[:, :1], mask), dim=1)
    return mask, inputs.get("visual_attention_mask")


def main_outputs(
    states: ViLBertModelOutput, text_mask: Tensor | None, visual_mask: Tensor | None, prefix: str, wanted: set[str]
) -> Iterator[tuple[str, Ours]]:
    """Final states and pooled vectors of one forward pass."""
    found = {
        "sequence_output_t": Ours("states", states.last_hidden_state, text_mask),
        "sequence_output_v": Ours("states", states.visual_last_hidden_state, visual_mask),
        "pooled_output_t": Ours("pooled", states.pooler_output),
        "pooled_output_v": Ours("pooled", states.visual_pooler_output),
    }
    yield from ((prefix + name, ours) for name, ours in found.items() if prefix + name in wanted)


def places_of_layers(case: Case) -> dict[str, tuple[int, int]]:
    """Where the states after each layer stand in `hidden_states` and in `visual_hidden_states`."""
    config = case.plain.config
    meetings = [*zip(config.text_coattention_ids, config.visual_coattention_ids, strict=True)]
    places, text, visual = {}, 0, 0
    for meeting, (text_end, visual_end) in enumerate(
        [*meetings, (config.num_hidden_layers, config.visual_num_hidden_layers)]
    ):
        # Each co-attention so far added one state to either stream.
        while text - meeting < text_end:
            text += 1
            places[f"layer.{text - 1 - meeting}"] = (text, visual)
        while visual - meeting < visual_end:
            visual += 1
            places[f"v_layer.{visual - 1 - meeting}"] = (text, visual)
        if meeting < len(meetings):
            text, visual = text + 1, visual + 1
            places[f"c_layer.{meeting}"] = (text, visual)
    return places


def recorded_outputs(
    case: Case, states: ViLBertModelOutput, text_mask: Tensor | None, visual_mask: Tensor | None
) -> Iterator[tuple[str, Ours]]:
    """States after each layer and attention weights of the main forward pass."""
    places = places_of_layers(case)

    def text(index: int) -> Ours:
        return Ours("states", states.hidden_states[index], text_mask)

    def regions(index: int) -> Ours:
        return Ours("states", states.visual_hidden_states[index], visual_mask)

    def weights(field: str, index: int) -> Ours:
        recorded = getattr(states, field)
        mask = text_mask if field in ("attentions", "text_attends_visual") else visual_mask
        return Ours("attention", None if recorded is None else recorded[index], mask)

    base, last = base_model(case.plain), len(case.plain.config.text_coattention_ids) - 1
    after_last = places[f"c_layer.{last}"]
    last_text, last_regions = states.hidden_states[after_last[0]], states.visual_hidden_states[after_last[1]]
    rules = {
        r"hook\.embeddings": lambda: text(0),
        r"hook\.v_embeddings": lambda: regions(0),
        r"hook\.encoder\.layer\.(\d+)\.0": lambda i: text(places[f"layer.{i}"][0]),
        r"hook\.encoder\.layer\.(\d+)\.1|attention_t\.(\d+)": lambda i: weights("attentions", i),
        r"hook\.encoder\.v_layer\.(\d+)\.0": lambda i: regions(places[f"v_layer.{i}"][1]),
        r"hook\.encoder\.v_layer\.(\d+)\.1|attention_v\.(\d+)": lambda i: weights("visual_attentions", i),
        r"hook\.encoder\.c_layer\.(\d+)\.0|all_encoded_layers_v\.(\d+)": lambda i: regions(places[f"c_layer.{i}"][1]),
        r"hook\.encoder\.c_layer\.(\d+)\.1|all_encoded_layers_t\.(\d+)": lambda i: text(places[f"c_layer.{i}"][0]),
        r"hook\.encoder\.c_layer\.(\d+)\.2\.0|attention_c\.(\d+)\.\w+_text_query_over_image": lambda i: weights(
            "text_attends_visual", i
        ),
        r"hook\.encoder\.c_layer\.(\d+)\.2\.1|attention_c\.(\d+)\.\w+_image_query_over_text": lambda i: weights(
            "visual_attends_text", i
        ),
        # With this option the originals stop at the last co-attention and pool what they have there.
        r"all_encoded_layers\.sequence_output_t": lambda: text(after_last[0]),
        r"all_encoded_layers\.sequence_output_v": lambda: regions(after_last[1]),
        r"all_encoded_layers\.pooled_output_t": lambda: Ours("pooled", base.text_pooler(last_text)),
        r"all_encoded_layers\.pooled_output_v": lambda: Ours("pooled", base.visual_pooler(last_regions)),
    }
    rules |= _first_coattention_alone(case, states, text_mask, visual_mask)
    yield from by_rules({name: name for name in case.outputs}, rules)


def _first_coattention_alone(
    case: Case, states: ViLBertModelOutput, text_mask: Tensor | None, visual_mask: Tensor | None
) -> dict[str, Callable[[], Ours]]:
    """The first co-attention layer called on the embeddings, without the layers before it."""
    base = base_model(case.plain)
    forward_pass = Pass.of(base.config, False, False)
    streams = []
    for embedded, mask in ((states.hidden_states[0], text_mask), (states.visual_hidden_states[0], visual_mask)):
        layout = forward_pass.layout(mask, *embedded.shape[:2], embedded.device)
        streams.append(Stream(forward_pass, layout.pack(embedded), layout))
    text, regions = streams
    new_text, new_regions, *_ = base.encoder.coattention_layers[0](
        text.states, regions.states, text.looking_at(regions), regions.looking_at(text)
    )
    return {
        r"direct_c_layer0_no_co_mask\.text": lambda: Ours("states", text.layout.unpack(new_text), text_mask),
        r"direct_c_layer0_no_co_mask\.image": lambda: Ours("states", regions.layout.unpack(new_regions), visual_mask),
    }


def variant_outputs(case: Case, inputs: dict[str, Tensor], wanted: set[str]) -> Iterator[tuple[str, Ours]]:
    """Forward passes with other options or other inputs."""
    batch = len(inputs["input_ids"])
    ahead = torch.arange(batch)
    one_text = torch.stack((torch.zeros_like(ahead), ahead), dim=1)
    all_pairs = torch.cartesian_prod(ahead, ahead)
    optional = ("token_type_ids", "attention_mask", "visual_attention_mask")
    no_task = {name: value for name, value in inputs.items() if name != "task_ids"}
    no_task_config = {"task_specific_tokens": False}
    first_text = ("input_ids", "token_type_ids", "attention_mask", "task_ids")

    def fast(inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: value[:1] if name in first_text else value for name, value in inputs.items()}

    variants: dict[str, tuple[dict[str, Any], dict[str, Tensor], Tensor | None]] = {
        "defaults_only": ({}, {name: value for name, value in inputs.items() if name not in optional}, None),
        "without_coattention": ({"with_coattention": False}, inputs, None),
        f"fast_mode_text_row0_vs_{batch}_images": ({"fast_mode": True}, fast(inputs), one_text),
        "in_batch_pairs": ({"in_batch_pairs": True}, inputs, all_pairs),
        "roberta": ({"model": "roberta"}, inputs, None),
        "dynamic_attention_off": ({"dynamic_attention": False}, inputs, None),
        "task_tokens_off": (no_task_config, no_task, None),
        "task_tokens_off_fast_mode": (no_task_config, fast(no_task), one_text),
    }
    if "task_ids_as_position_ids" in case.inputs:
        # MMF hands task ids to the argument that means positions.
        positions = case.inputs["task_ids_as_position_ids"].expand_as(inputs["input_ids"])
        variants["task_ids_as_position_ids"] = ({}, {**inputs, "position_ids": positions}, None)
    for name, (changes, changed, pairs) in variants.items():
        if not any(output.startswith(f"{name}.") for output in wanted):
            continue
        model = base_model(case.model(**changes) if changes else case.plain)
        text_mask, visual_mask = masks(changed)
        if pairs is not None:
            text_mask, visual_mask = text_mask[pairs[:, 0]], visual_mask[pairs[:, 1]]
        yield from main_outputs(model(**changed, pair_index=pairs), text_mask, visual_mask, f"{name}.", wanted)


def region_targets(case: Case) -> dict[str, Tensor]:
    """Region labels and targets, with a column for the global region where the code base leaves it out."""
    target = next(iter(case.plain.config.region_targets))
    if case.golden.code_base == "mmf":
        return _region_inputs(target, case.inputs["image_labels"], case.inputs["cls_prob"], 0, case)
    return _region_inputs(target, case.inputs["image_label"], case.inputs["image_target"], 1, case)


def _region_inputs(target: str, labels: Tensor, values: Tensor, leading: int, case: Case) -> dict[str, Tensor]:
    name = "region_class_probs" if target == "kl" else "region_features"
    inputs = {
        "region_labels": pad(ours_labels(labels), (leading, 0), value=IGNORE_INDEX),
        name: pad(values, (0, 0, leading, 0)),
    }
    if target == "nce":
        stored = case.outputs["nce_negative_index"]
        regions = labels.shape[1]
        places = stored // regions * (regions + leading) + stored % regions + leading
        inputs["region_negative_indices"] = pad(places, (0, 0, leading, 0))
    return inputs


def ours_labels(labels: Tensor) -> Tensor:
    """The originals ignore -1."""
    return labels.masked_fill(labels == -1, IGNORE_INDEX)


def pretraining_outputs(case: Case, inputs: dict[str, Tensor]) -> Iterator[tuple[str, Ours]]:
    """Logits and losses."""
    text_mask, visual_mask = masks(inputs)
    tokens = case.inputs["lm_label_ids" if case.golden.code_base == "mmf" else "masked_lm_labels"]
    labels = {"labels": ours_labels(tokens), **region_targets(case)}
    if case.golden.code_base != "mmf":
        labels["sentence_image_labels"] = case.inputs["next_sentence_label"]
    yield from _pretraining_pass(case, inputs, labels, "", text_mask, visual_mask)
    if "objective1.image_label" in case.inputs:
        changed = {
            **labels,
            "labels": ours_labels(case.inputs["objective1.masked_lm_labels"]),
            "region_labels": pad(ours_labels(case.inputs["objective1.image_label"]), (1, 0), value=IGNORE_INDEX),
        }
        yield from _pretraining_pass(case, inputs, changed, "objective1", text_mask, visual_mask)


def _pretraining_pass(
    case: Case,
    inputs: dict[str, Tensor],
    labels: dict[str, Tensor],
    variant: str,
    text_mask: Tensor | None,
    visual_mask: Tensor | None,
) -> Iterator[tuple[str, Ours]]:
    output = case.plain(**inputs, **labels, return_logits=True)
    losses = {
        "masked_lm_loss": output.mlm_loss,
        "masked_img_loss": output.region_loss,
        "next_sentence_loss": output.alignment_loss,
        "total_as_in_train_concap": output.loss,
        "masked_coco/train/masked_lm_loss": output.mlm_loss,
        "masked_coco/train/masked_img_loss": output.region_loss,
    }
    found = {f"{variant}.{name}" if variant else name: Ours("loss", loss) for name, loss in losses.items()}
    separator = f"{variant}_" if variant else ""
    found |= {f"losses.{separator}{name}": Ours("loss", loss) for name, loss in losses.items()}
    if not variant:
        found["prediction_scores_t"] = Ours("logits", output.prediction_logits, text_mask)
        found["prediction_scores_v"] = Ours("logits", next(iter(output.region_logits.values())), visual_mask)
        found["seq_relationship_score"] = Ours("pooled", output.seq_relationship_logits)
    yield from ((name, ours) for name, ours in found.items() if name in case.outputs)
