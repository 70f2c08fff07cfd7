"""Outputs of task heads in MMF, uclanlp's code and transformers, by the names the golden files give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import ModelOutput

from modeling_vl.heads import fuse
from modeling_vl.outputs import TaskOutput
from tests.golden.harness import Case, Ours, base_model, by_rules
from tests.golden.task_outputs import judge_pairs
from tests.golden.vilbert_outputs import MMF_INPUTS, main_outputs, ours_labels
from tests.golden.visualbert_outputs import INPUTS, state_rules

NOT_COMPARED = {
    r"accuracy|upperbound_accuracy|entity_num": (
        "counted outside the model from the scores that are compared; metrics have tests of their own"
    ),
}

UCLANLP_TASKS = {
    "vqa": "vqa",
    "vqa_advanced": "masked_lm",
    "nlvr": "nlvr2",
    "multichoice": "vcr",
    "flickr": "phrase_grounding",
}
TRANSFORMERS_TASKS = {
    "VisualBertForMultipleChoice": "vcr",
    "VisualBertForQuestionAnswering": "vqa",
    "VisualBertForVisualReasoning": "nlvr2",
    "VisualBertForRegionToPhraseAlignment": "phrase_grounding",
}
PHRASES = {"uclanlp": "flickr_position", "transformers": "region_to_phrase_position"}


def mmf_outputs(case: Case) -> Iterator[tuple[str, Ours]]:
    """Every stored output of a `ForClassification` file of MMF.

    Args:
        case: File, backend and layout.

    Yields:
        Name of the stored output, and our number.
    """
    flags = case.golden.meta["head_flags"]
    if flags["training_head_type"] == "nlvr2":
        yield from _mmf_image_pairs(case)
        return
    is_vilbert = case.plain.config.model_type == "vilbert"
    names = MMF_INPUTS if is_vilbert else INPUTS["mmf"]
    inputs = {ours: case.inputs[name] for name, ours in names.items()}
    states = base_model(case.plain)(**inputs)
    yield from _mmf_states(case, states, inputs, states.pooler_output)
    model = case.model("vqa" if flags.get("pooler_strategy") == "vqa" else "classification")
    yield "scores", Ours("logits", model(**inputs).logits, by=type(model).__name__)


def _mmf_states(
    case: Case, states: ModelOutput, inputs: dict[str, Tensor], pooled: Tensor
) -> Iterator[tuple[str, Ours]]:
    text_mask, visual_mask = inputs["attention_mask"], inputs["visual_attention_mask"]
    if case.plain.config.model_type == "vilbert":
        yield from main_outputs(states, text_mask, visual_mask, "", set(case.outputs))
    elif "sequence_output" in case.outputs:
        yield "sequence_output", Ours("states", states.last_hidden_state, torch.cat((text_mask, visual_mask), 1))
        yield "pooled_output", Ours("pooled", pooled)


def _mmf_image_pairs(case: Case) -> Iterator[tuple[str, Ours]]:
    """NLVR2: the first images of all statements, then the second ones."""
    is_vilbert = case.plain.config.model_type == "vilbert"
    text = {"input_ids": "input_ids", "token_type_ids": "segment_ids", "attention_mask": "input_mask"}
    texts = {ours: case.inputs[name] for ours, name in text.items()}
    images: dict[str, Tensor] = {}
    for ours, name in (("visual_embeds", "image_feature"), ("visual_locations", "bbox")):
        if f"img0_{name}" in case.inputs:
            images[ours] = torch.stack([case.inputs[f"img{number}_{name}"] for number in (0, 1)], dim=1)
    counts = torch.stack([case.inputs[f"img{number}_max_features"] for number in (0, 1)], dim=1)
    images["visual_attention_mask"] = (torch.arange(images["visual_embeds"].shape[2]) < counts[..., None]).long()
    rows = {name: torch.cat((value, value)) for name, value in texts.items()}
    rows |= {name: value.transpose(0, 1).flatten(0, 1) for name, value in images.items()}
    model = case.model("nlvr2")
    logits, by = model(**texts, **images).logits, type(model).__name__
    states = base_model(case.plain)(**rows)
    if is_vilbert:
        fused = fuse(model.config.fusion_method, states.pooler_output, states.visual_pooler_output)
        yield "fused_pooled_2B", Ours("pooled", fused)
        yield "scores_if_pairing_were_correct", Ours("logits", logits, by=by)
        # MMF's ViLBERT takes neighbours for pairs, although the rows are all first images, then all second ones.
        yield "scores", Ours("logits", judge_pairs(model.task, model.cls, model.read, rows).logits, by=by)
        return
    yield from _mmf_states(case, states, rows, torch.cat(states.pooler_output.chunk(2), dim=1))
    yield "scores", Ours("logits", logits, by=by)


def visualbert_task_outputs(case: Case) -> Iterator[tuple[str, Ours]]:
    """Every stored output of a task file of uclanlp's code or transformers.

    Args:
        case: File, backend and layout.

    Yields:
        Name of the stored output, and our number.
    """
    is_transformers = case.golden.code_base == "transformers"
    if is_transformers:
        task = TRANSFORMERS_TASKS[case.golden.meta["class_name"]]
        inputs = {ours: case.inputs[name] for name, ours in INPUTS["transformers"].items()}
    else:
        task = UCLANLP_TASKS[case.golden.meta["head_flags"]["training_head_type"]]
        inputs = _uclanlp_inputs(case)
        yield from _uclanlp_states(case, inputs)
    model = case.model(task)
    by = type(model).__name__
    phrases = {} if task != "phrase_grounding" else {"phrase_positions": case.inputs[PHRASES[case.golden.code_base]]}
    output = model(**inputs, **phrases, labels=_labels(case, task))
    scores = _masked_words(case, model, inputs) if task == "masked_lm" else _scores(output, inputs, phrases, by)
    rules: dict[str, Callable[[], Ours]] = {
        r"logits|hook\.flickr_attention": lambda: scores,
        r"(?:losses\.)?(?:loss|masked_lm_loss)": lambda: Ours("loss", output.loss, by=by),
        # transformers' class returns log-probabilities as logits when it gets labels.
        r"logits_with_labels": lambda: Ours("logits", output.logits.log_softmax(-1), by=by),
        r"alignment_flat\.logits": lambda: _with_alignment(case, model, inputs, by),
        r"seq_relationship_score": lambda: _alignment(case, inputs),
    }
    for name, ours in by_rules({name: name for name in case.outputs}, rules):
        if ours.kind == "logits":
            # uclanlp keeps a dimension of one for the one answer to a question.
            ours = ours._replace(tensor=ours.tensor.view(case.outputs[name].shape))
        yield name, ours


def _uclanlp_inputs(case: Case) -> dict[str, Tensor]:
    names = {name: ours for name, ours in INPUTS["uclanlp"].items() if name != "image_mask"}
    inputs = {ours: case.inputs[name] for name, ours in names.items()}
    places = torch.arange(inputs["visual_embeds"].shape[-2])
    inputs["visual_attention_mask"] = (places < case.inputs["image_dim_variable"][..., None]).long()
    for ours, name in (
        ("image_text_alignment", "image_text_alignment"),
        ("visual_token_type_ids", "visual_embeddings_type"),
    ):
        if name in case.inputs:
            inputs[ours] = case.inputs[name]
    return inputs


def _uclanlp_states(case: Case, inputs: dict[str, Tensor]) -> Iterator[tuple[str, Ours]]:
    choices = inputs["input_ids"].dim() - 2
    rows = {name: value.flatten(0, choices) for name, value in inputs.items()}
    states = base_model(case.plain)(**rows, output_hidden_states=True)
    mask = torch.cat((rows["attention_mask"], rows["visual_attention_mask"]), dim=1)
    rules = state_rules(case, rows["attention_mask"], mask, states)
    yield from by_rules({name: name for name in case.outputs if name.startswith("hook.")}, rules)


def _labels(case: Case, task: str) -> Tensor:
    if task == "masked_lm":
        return ours_labels(case.inputs["masked_lm_labels"])
    return case.inputs["labels" if case.golden.code_base == "transformers" else "label"]


def _masked_words(case: Case, model: PreTrainedModel, inputs: dict[str, Tensor]) -> Ours:
    """The code base also looks for words in regions, which of ours only the pre-training class does."""
    words, everywhere = model(**inputs).logits, case.plain(**inputs).prediction_logits
    mask = torch.cat((inputs["attention_mask"], inputs["visual_attention_mask"]), dim=1)
    return Ours("logits", torch.cat((words, everywhere[:, words.shape[1] :]), dim=1), mask, type(model).__name__)


def _scores(output: TaskOutput, inputs: dict[str, Tensor], phrases: dict[str, Tensor], by: str) -> Ours:
    if phrases:
        # Where a phrase is missing, the originals take the first word piece and give it no weight in the loss.
        asked = phrases["phrase_positions"] >= 0
        real = asked[..., None] & inputs["visual_attention_mask"][:, None].bool()
        return Ours("scores", output.logits, real, by)
    return Ours("logits", output.logits, by=by)


def _with_alignment(case: Case, model: PreTrainedModel, inputs: dict[str, Tensor], by: str) -> Ours:
    alignment = case.inputs["image_text_alignment_flat"].unflatten(0, inputs["input_ids"].shape[:2])
    return Ours("logits", model(**inputs, image_text_alignment=alignment).logits, by=by)


def _alignment(case: Case, inputs: dict[str, Tensor]) -> Ours:
    """uclanlp's row 1 means a match, ours row 0."""
    return Ours("pooled", case.plain(**inputs).seq_relationship_logits.flip(-1))
