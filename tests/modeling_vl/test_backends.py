"""Every attention backend and layout computes the same numbers."""

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from transformers.modeling_utils import AttentionInterface

from modeling_vl import ViLBertForPreTraining, VisualBertForPreTraining
from modeling_vl.outputs import RECORDED_FIELDS
from tests.tiny_models import PRETRAINING_CLASSES, places, tiny_inputs, tiny_model

TOLERANCE = {"rtol": 0, "atol": 1e-5}


def attention_end_to_end(module, query, key, value, attention_mask, dropout, scaling, **boundaries):
    """What a flash kernel computes from sequences laid end to end, each stream with its own boundaries."""
    assert attention_mask is None and query.shape[0] == 1
    ends_q, ends_k = boundaries["cu_seq_lens_q"].tolist(), boundaries["cu_seq_lens_k"].tolist()
    assert boundaries["max_length_q"] == max(b - a for a, b in zip(ends_q, ends_q[1:], strict=False))
    contexts = []
    for example in range(len(ends_q) - 1):
        q = query[:, :, ends_q[example] : ends_q[example + 1]]
        k, v = (x[:, :, ends_k[example] : ends_k[example + 1]] for x in (key, value))
        contexts.append(((q @ k.transpose(2, 3) * scaling).softmax(-1) @ v).transpose(1, 2))
    return torch.cat(contexts, dim=1), None


@pytest.fixture
def flash_stand_in():
    AttentionInterface.register("flash_stand_in", attention_end_to_end)
    yield "flash_stand_in"
    del AttentionInterface._global_mapping["flash_stand_in"]


def run(model, inputs, backend, packed):
    model.config._attn_implementation = backend
    model.config.packed_execution = packed
    with torch.no_grad():
        return model(**inputs)


def assert_same(actual, expected, inputs):
    text, regions = places(inputs, "text"), places(inputs, "regions")
    tokens = text if expected.prediction_logits.shape[1] == text.shape[1] else places(inputs, "joint")
    torch.testing.assert_close(actual.prediction_logits[tokens], expected.prediction_logits[tokens], **TOLERANCE)
    torch.testing.assert_close(actual.seq_relationship_logits, expected.seq_relationship_logits, **TOLERANCE)
    for target, logits in (expected.region_logits or {}).items():
        torch.testing.assert_close(actual.region_logits[target][regions], logits[regions], **TOLERANCE)


@pytest.mark.parametrize("padded", [True, False], ids=["padding", "no masks"])
@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded layout"])
@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_backends_agree(model_class, backend, packed, padded):
    model, inputs = tiny_model(model_class), tiny_inputs(padded)
    assert_same(run(model, inputs, backend, packed), run(model, inputs, "eager", False), inputs)


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_flex_attention_agrees(model_class):
    # Inference and one layout only: on a CPU this backend has no backward and compiles a kernel for every shape.
    model, inputs = tiny_model(model_class), tiny_inputs()
    assert_same(run(model, inputs, "flex_attention", True), run(model, inputs, "eager", False), inputs)


@pytest.mark.parametrize("padded", [True, False], ids=["padding", "no masks"])
@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_flash_gets_the_boundaries_of_both_streams(model_class, padded, flash_stand_in):
    model, inputs = tiny_model(model_class), tiny_inputs(padded)
    assert_same(run(model, inputs, flash_stand_in, True), run(model, inputs, "eager", False), inputs)


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_gradients_agree_between_layouts(model_class):
    inputs, gradients = tiny_inputs(), []
    for packed in (True, False):
        model = tiny_model(model_class)
        model.config.packed_execution = packed
        logits = model(**inputs).prediction_logits[:, : inputs["input_ids"].shape[1]]
        logits[places(inputs, "text")].square().mean().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(
            gradient, gradients[1][name], rtol=1e-4, atol=1e-6, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
@torch.no_grad()
def test_recorded_states_and_weights_do_not_depend_on_the_layout(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs()
    outputs = []
    for packed in (True, False):
        model.config.packed_execution = packed
        outputs.append(model(**inputs, output_attentions=True, output_hidden_states=True))
    text, regions = places(inputs, "text"), places(inputs, "regions")
    queries = {
        "hidden_states": text,
        "visual_hidden_states": regions,
        "attentions": text,
        "visual_attentions": regions,
        "text_attends_visual": text,
        "visual_attends_text": regions,
    }
    if model_class is VisualBertForPreTraining:
        queries = {name: places(inputs, "joint") for name in ("hidden_states", "attentions")}
    for name, real in queries.items():
        assert len(outputs[0][name]) == len(outputs[1][name]) > 0
        for packed_tensor, padded_tensor in zip(outputs[0][name], outputs[1][name], strict=True):
            if name.endswith("hidden_states"):
                torch.testing.assert_close(packed_tensor[real], padded_tensor[real], **TOLERANCE)
                assert packed_tensor[~real].abs().max() == 0
            else:
                rows = packed_tensor.transpose(1, 2)[real]
                torch.testing.assert_close(rows, padded_tensor.transpose(1, 2)[real], **TOLERANCE)
                torch.testing.assert_close(rows.sum(-1), torch.ones(rows.shape[:-1]), **TOLERANCE)


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_gradients_reach_recorded_states_and_weights(model_class):
    """They are what relevance of words and regions is computed from; a copy made beside the pass has none."""
    output = tiny_model(model_class)(**tiny_inputs(), output_attentions=True, output_hidden_states=True)
    recorded = [tensor for name in RECORDED_FIELDS for tensor in output.get(name) or ()]
    goal = output.prediction_logits.square().sum() + output.seq_relationship_logits[:, 0].sum()
    for gradient in torch.autograd.grad(goal, recorded):
        assert gradient.abs().max() > 0


def test_vilbert_says_who_attends_to_whom():
    outputs = tiny_model(ViLBertForPreTraining)(**tiny_inputs(), output_attentions=True)
    assert [tuple(w.shape) for w in outputs.text_attends_visual] == [(3, 3, 9, 6)] * 2
    assert [tuple(w.shape) for w in outputs.visual_attends_text] == [(3, 3, 6, 9)] * 2
    assert [tuple(w.shape) for w in outputs.attentions] == [(3, 4, 9, 9)] * 3
    assert [tuple(w.shape) for w in outputs.visual_attentions] == [(3, 2, 6, 6)] * 2


def test_a_masked_region_gets_no_attention():
    outputs = tiny_model(ViLBertForPreTraining)(**tiny_inputs(), output_attentions=True)
    for weights in outputs.text_attends_visual:
        assert weights[1, :, :, 2:].abs().max() == 0
        assert weights[1, :, :5, :2].min() > 0


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_padding_content_changes_nothing(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs()
    model.config.packed_execution = False
    expected = model(**inputs)
    inputs["visual_embeds"] = inputs["visual_embeds"].masked_fill(~places(inputs, "regions")[..., None], 1e3)
    inputs["input_ids"] = inputs["input_ids"].masked_fill(~places(inputs, "text"), 5)
    assert_same(model(**inputs), expected, inputs)


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_the_whole_padded_forward_is_one_graph(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs()
    if model_class is VisualBertForPreTraining:
        inputs["image_text_alignment"] = torch.randint(-1, 9, (3, 6, 2))
    with torch.no_grad():
        expected = model(**inputs)
        compiled = torch.compile(model, backend="eager", fullgraph=True)
        assert_same(compiled(**inputs), expected, inputs)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded layout"])
@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_dropout_on_a_cpu_is_written_out_with_the_mask_of_sdpa(model_class, packed):
    fields = dict.fromkeys(("hidden_dropout_prob", "fusion_dropout_prob", "visual_hidden_dropout_prob"), 0.0)
    if model_class is VisualBertForPreTraining:
        del fields["visual_hidden_dropout_prob"]
    rare = dict.fromkeys(("attention_probs_dropout_prob", "visual_attention_probs_dropout_prob"), 1e-12)
    fields |= rare if model_class is ViLBertForPreTraining else {"attention_probs_dropout_prob": 1e-12}
    model, inputs = tiny_model(model_class, **fields), tiny_inputs()
    expected = run(model, inputs, "sdpa", packed)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        trained = run(model.train(), inputs, "sdpa", packed)
    assert "aten::scaled_dot_product_attention" not in {event.key for event in profiler.key_averages()}
    assert_same(trained, expected, inputs)
