"""A traced model computes what the model does, at any batch, text length and number of regions."""

from __future__ import annotations

import pytest
import torch

from modeling_vl.export import TOLERANCE, inputs_of, largest_differences, random_inputs, trace
from tests.modeling_vl.export.small_models import small_model

LINKS = "image_text_alignment"
TWO_IMAGES = {"num_labels": 2, "num_images": 2}
TASKS = {
    "phrases": {"kind": "phrase_grounding", "task_id": 1},
    "vqa": {"kind": "question_answering", "num_labels": 5, "task_id": 0},
}
CASES = {
    # class, config, further inputs, task, outputs
    "vilbert": (
        *("ViLBertModel", {}, (), None),
        {
            "last_hidden_state": ("batch", "text", 32),
            "visual_last_hidden_state": ("batch", "regions", 24),
            "pooler_output": ("batch", 18),
            "visual_pooler_output": ("batch", 18),
        },
    ),
    "vilbert-pretraining": (
        *("ViLBertForPreTraining", {"region_targets": {"kl": 1.0, "mse": 1.0}}, (), None),
        {
            "prediction_logits": ("batch", "text", 99),
            "region_logits.kl": ("batch", "regions", 7),
            "region_logits.mse": ("batch", "regions", 20),
            "seq_relationship_logits": ("batch", 2),
        },
    ),
    "vilbert-masked-words": ("ViLBertForMaskedLM", {}, (), None, {"logits": ("batch", "text", 99)}),
    "vilbert-questions-task-tokens": (
        *("ViLBertForVisualQuestionAnswering", {"num_labels": 5, "num_task_tokens": 3}, ("position_ids",), None),
        {"logits": ("batch", 5)},
    ),
    "vilbert-two-images": (
        *("ViLBertForSequenceClassification", TWO_IMAGES, (), None),
        {"logits": ("batch", 2)},
    ),
    "vilbert-referring": ("ViLBertForRegionGrounding", {}, (), None, {"logits": ("batch", "regions")}),
    "vilbert-multi-task": (
        *("ViLBertForMultiTask", {"num_task_tokens": 2, "multi_task_heads": TASKS}, (), "phrases"),
        {"logits": ("batch", "phrases", "regions")},
    ),
    "visualbert": (
        *("VisualBertModel", {}, (LINKS,), None),
        {"last_hidden_state": ("batch", "regions + text", 32), "pooler_output": ("batch", 32)},
    ),
    "visualbert-pretraining": (
        *("VisualBertForPreTraining", {}, (LINKS, "visual_token_type_ids"), None),
        {"prediction_logits": ("batch", "regions + text", 99), "seq_relationship_logits": ("batch", 2)},
    ),
    "visualbert-questions-at-mask": (
        *("VisualBertForVisualQuestionAnswering", {"num_labels": 5}, (), None),
        {"logits": ("batch", 5)},
    ),
    "visualbert-two-images": (
        *("VisualBertForSequenceClassification", {**TWO_IMAGES, "image_pair_method": "sequence"}, (LINKS,), None),
        {"logits": ("batch", 2)},
    ),
    "visualbert-retrieval": ("VisualBertForImageTextRetrieval", {}, (), None, {"logits": ("texts", "images")}),
    "visualbert-phrases": (
        *("VisualBertForPhraseGrounding", {}, (), None),
        {"logits": ("batch", "phrases", "regions")},
    ),
}


class Traced:
    """A traced program, called as an exported file is."""

    def __init__(self, program: torch.export.ExportedProgram) -> None:
        self._module = program.module()
        self.input_names = list(program.graph_signature.user_inputs)

    @torch.no_grad()
    def __call__(self, **inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        return self._module(**inputs)


@pytest.mark.parametrize("case", CASES)
def test_a_traced_model_reads_batches_of_any_size(case):
    name, fields, further, task, expected = CASES[case]
    model = small_model(name, **fields)
    inputs = inputs_of(model, task, further)
    program, outputs = trace(model, inputs, task)
    assert outputs == expected
    differences = largest_differences(Traced(program), model, inputs, task)
    assert differences.keys() == expected.keys()
    assert max(differences.values()) <= TOLERANCE
    assert model.config.packed_execution


def test_another_model_is_told_apart():
    model = small_model("VisualBertModel")
    inputs = inputs_of(model)
    exported = Traced(trace(model, inputs)[0])
    other = small_model("VisualBertModel")
    for wrong in (1e-3, torch.nan):
        with torch.no_grad():
            other.pooler.dense.bias[3] += wrong
        differences = largest_differences(exported, other, inputs)
        assert differences["last_hidden_state"] <= TOLERANCE
        assert not differences["pooler_output"] <= TOLERANCE


def test_inputs_that_a_model_does_not_have_are_refused():
    with pytest.raises(ValueError, match=r"not exported with image_text_alignment: .* \['position_ids'\]"):
        inputs_of(small_model("ViLBertModel"), further=[LINKS])
    with pytest.raises(ValueError, match="not exported with image_text_alignment"):
        inputs_of(small_model("VisualBertForImageTextRetrieval"), further=[LINKS])
    with pytest.raises(ValueError, match=r"a task at a time: name one of \['phrases', 'vqa'\]"):
        inputs_of(small_model("VisualBertForMultiTask", multi_task_heads=TASKS))
    with pytest.raises(ValueError, match="ViLBertModel has no multi_task_heads"):
        inputs_of(small_model("ViLBertModel"), task="vqa")


def test_random_inputs_are_padded_on_the_right_and_legal():
    inputs = inputs_of(small_model("VisualBertForPhraseGrounding"), further=[LINKS])
    sizes = {"batch": 50, "text": 6, "regions": 4, "phrases": 3, "links": 2}
    batch = random_inputs(inputs, sizes)
    assert {name: list(tensor.shape) for name, tensor in batch.items()} == {
        "input_ids": [50, 6],
        "attention_mask": [50, 6],
        "token_type_ids": [50, 6],
        "visual_embeds": [50, 4, 20],
        "visual_attention_mask": [50, 4],
        "phrase_positions": [50, 3],
        "image_text_alignment": [50, 4, 2],
    }
    for name, least in (("attention_mask", 2), ("visual_attention_mask", 1)):
        mask = batch[name]
        assert torch.equal(mask, mask.sort(1, descending=True).values)
        assert mask.sum(1).unique().tolist() == list(range(least, mask.shape[1] + 1))
    assert batch["phrase_positions"].unique().tolist() == [-1, 0, 1]
