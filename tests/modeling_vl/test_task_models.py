"""What holds for the classes of all tasks, of both models."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch.export import Dim
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForSequenceClassification,
    AutoModelForVisualQuestionAnswering,
)

import modeling_vl
from configuration_vl import ViLBertConfig, VisualBertConfig
from tests.tiny_models import tiny_model
from tests.tiny_tasks import MODELS, TASKS, both, every_task, task_class, task_inputs, task_labels, task_model

AUTO_CLASSES = {
    "VisualQuestionAnswering": AutoModelForVisualQuestionAnswering,
    "MultipleChoice": AutoModelForMultipleChoice,
    "SequenceClassification": AutoModelForSequenceClassification,
    "MaskedLM": AutoModelForMaskedLM,
    "ImageTextRetrieval": modeling_vl.AutoModelForImageTextRetrieval,
    "RegionGrounding": modeling_vl.AutoModelForRegionGrounding,
    "PhraseGrounding": modeling_vl.AutoModelForPhraseGrounding,
}
UNREAD = {
    # What a task's loss does not reach: pooled vectors, and in ViLBERT the last layers of the stream it does not read.
    ("ViLBert", "RegionGrounding"): ("pooler", "encoder.text_layers.2", "coattention_layers.1.text"),
    ("ViLBert", "PhraseGrounding"): ("pooler",),
    ("ViLBert", "MaskedLM"): ("pooler", "encoder.visual_layers.1", "coattention_layers.1.visual"),
    ("VisualBert", "VisualQuestionAnswering"): ("pooler",),
    ("VisualBert", "RegionGrounding"): ("pooler",),
    ("VisualBert", "PhraseGrounding"): ("pooler",),
    ("VisualBert", "MaskedLM"): ("pooler",),
}

ONE_LAYER = {
    "ViLBert": {
        "num_hidden_layers": 1,
        "visual_num_hidden_layers": 1,
        "text_coattention_ids": [0],
        "visual_coattention_ids": [0],
    },
    "VisualBert": {"num_hidden_layers": 1},
}
"""For graphs, which take long to build; those of all layers are tested with the pre-training models."""


def loss_and_logits(model, task, **extra):
    inputs, labels = task_inputs(task), task_labels(task)
    loss = model(**inputs, **labels, **extra).loss
    return loss, model(**inputs, **extra).logits


@every_task
@both
def test_packed_padded_and_both_backends_give_the_same_numbers(model, task):
    expected = None
    for packed in (True, False):
        for backend in ("sdpa", "eager"):
            tiny = task_model(model, task, packed_execution=packed)
            tiny.set_attn_implementation(backend)
            assert tiny.config._attn_implementation == backend  # transformers only warns where it changes nothing
            with torch.no_grad():
                loss, logits = loss_and_logits(tiny, task)
            real = logits > torch.finfo(logits.dtype).min
            if task == "MaskedLM":
                real = task_inputs(task)["attention_mask"].bool()  # logits of padding mean nothing
            expected = expected or (loss, logits[real])
            torch.testing.assert_close(loss, expected[0], atol=1e-5, rtol=0)
            torch.testing.assert_close(logits[real], expected[1], atol=1e-5, rtol=0)
    assert logits[real].std() > 1e-3  # examples differ, or the comparison would show nothing


@every_task
@both
def test_logits_do_not_depend_on_labels(model, task):
    tiny, inputs = task_model(model, task), task_inputs(task)
    extra = {"return_logits": True} if task == "MaskedLM" else {}
    with torch.no_grad():
        free, labelled = tiny(**inputs).logits, tiny(**inputs, **task_labels(task), **extra).logits
    torch.testing.assert_close(free, labelled, atol=0, rtol=0)


@every_task
@both
def test_the_loss_reaches_every_parameter_that_the_task_reads(model, task):
    tiny = task_model(model, task)
    loss_and_logits(tiny, task)[0].backward()
    silent = [name for name, x in tiny.named_parameters() if x.grad is None]
    unread = UNREAD.get((model, task), ())
    assert all(any(part in name for part in unread) for name in silent), silent
    assert all(any(part in name for name in silent) for part in unread), silent


@pytest.mark.parametrize("task", ["MultipleChoice", "PhraseGrounding", "RegionGrounding"])
@both
def test_checkpointing_does_not_change_gradients(model, task):
    gradients = []
    for checkpoints in (False, True):
        tiny = task_model(model, task, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
        for module in tiny.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        if checkpoints:
            tiny.gradient_checkpointing_enable()
        loss_and_logits(tiny, task)[0].backward()
        gradients.append({name: x.grad for name, x in tiny.named_parameters() if x.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, atol=1e-6, rtol=0)


@every_task
@both
def test_losses_and_gradients_in_one_graph(model, task):
    torch.compiler.reset()  # all models are compiled from the same lines of code, whose graphs would add up
    tiny, results = task_model(model, task, **ONE_LAYER[model]), []
    batch = {**task_inputs(task), **task_labels(task)}
    for forward in (tiny, torch.compile(tiny, backend="eager", fullgraph=True)):
        tiny.zero_grad()
        loss = forward(**batch).loss
        loss.backward()
        results.append((loss, {name: x.grad.clone() for name, x in tiny.named_parameters() if x.grad is not None}))
    torch.testing.assert_close(results[1], results[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("task", ["VisualQuestionAnswering", "RegionGrounding"])
@both
@torch.no_grad()
def test_an_exported_model_reads_batches_of_any_size(model, task):
    tiny, inputs = task_model(model, task, **ONE_LAYER[model]), task_inputs(task)
    if model == "VisualBert":
        del inputs["visual_locations"]
    batch, text, regions = Dim("batch"), Dim("text", max=24), Dim("regions")
    shapes = {name: {0: batch, 1: regions if name.startswith("visual") else text} for name in inputs}
    exported = torch.export.export(tiny, (), kwargs=inputs, dynamic_shapes=shapes, strict=False).module()
    smaller = {name: x[:2, :4] if name.startswith("visual") else x[:2, :8] for name, x in inputs.items()}
    for given in (inputs, smaller):
        torch.testing.assert_close(exported(**given).logits, tiny(**given).logits, rtol=0, atol=1e-5)


@every_task
@both
def test_auto_classes_find_the_class_and_its_weights(model, task, tmp_path):
    tiny = task_model(model, task)
    tiny.save_pretrained(tmp_path)
    loaded, info = AUTO_CLASSES[task].from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is task_class(model, task)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    with torch.no_grad():
        expected, found = loss_and_logits(tiny, task), loss_and_logits(loaded.eval(), task)
    torch.testing.assert_close(found, expected, atol=0, rtol=0)


@pytest.mark.parametrize("task", TASKS)
def test_auto_classes_build_both_models(task):
    for config, model in ((ViLBertConfig, "ViLBert"), (VisualBertConfig, "VisualBert")):
        assert AUTO_CLASSES[task]._model_mapping[config] is task_class(model, task)


@every_task
@both
def test_trainer_sees_every_argument(model, task):
    """It drops columns that the signature does not name, and scales the loss where it finds `**kwargs`."""
    parameters = inspect.signature(task_class(model, task).forward).parameters
    assert {*task_inputs(task), *task_labels(task), "image_text_alignment"} <= parameters.keys()
    assert all(parameter.kind is not inspect.Parameter.VAR_KEYWORD for parameter in parameters.values())
    assert task_class(model, task).accepts_loss_kwargs is False


@every_task
@both
def test_a_pretrained_trunk_and_its_heads_are_loaded(model, task, tmp_path):
    whole = tiny_model(task_class(model, "PreTraining"))
    whole.save_pretrained(tmp_path)
    tuned, info = task_class(model, task).from_pretrained(tmp_path, output_loading_info=True)
    for name, value in whole.base_model.state_dict().items():
        torch.testing.assert_close(tuned.base_model.state_dict()[name], value, atol=0, rtol=0)
    fresh = {key.split(".")[0] for key in info["missing_keys"]}
    reused = task in ("MaskedLM", "ImageTextRetrieval")
    assert fresh == (set() if reused else {"attention" if task == "PhraseGrounding" else "cls"})


@every_task
@both
def test_recorded_states_come_back(model, task):
    tiny = task_model(model, task)
    with torch.no_grad():
        output = tiny(**task_inputs(task), output_hidden_states=True, output_attentions=True)
        plain = tiny(**task_inputs(task), return_dict=False)
    assert len(output.attentions) == 3 and len(output.hidden_states) >= 4
    torch.testing.assert_close(plain[0], output.logits, atol=1e-5, rtol=0)
    assert len(plain) == 1


@pytest.mark.parametrize("model", MODELS)
def test_predict_leaves_the_mode_and_keeps_no_graph(model):
    tiny = task_model(model, "VisualQuestionAnswering").train()
    first = tiny.predict(**task_inputs("VisualQuestionAnswering"))
    assert tiny.training
    assert first == tiny.predict(**task_inputs("VisualQuestionAnswering"))  # no dropout
    with pytest.raises(ValueError, match="visual_embedding_dim"):
        tiny.predict(**{**task_inputs("VisualQuestionAnswering"), "visual_embeds": torch.zeros(3, 6, 2)})
    assert tiny.training


def test_visualbert_has_no_task_tokens():
    with pytest.raises(ValueError, match="VisualBERT has no task tokens: leave them out"):
        task_model("VisualBert", "RegionGrounding")(**task_inputs("RegionGrounding"), task_ids=torch.zeros(3).long())


@every_task
def test_task_tokens_do_not_shift_what_a_head_reads(task):
    """A token whose place is removed again: all shapes stay, and the token changes the result."""
    tiny = task_model("ViLBert", task, num_task_tokens=2, answer_position="mask")
    inputs = task_inputs(task)
    with torch.no_grad():
        first, second = (tiny(**inputs, task_ids=torch.full((3,), i)).logits for i in (0, 1))
        plain = task_model("ViLBert", task, answer_position="mask")(**inputs).logits
    assert first.shape == plain.shape
    assert (first - second).abs().max() > 1e-4
    with pytest.raises(ValueError, match="task_ids are missing"):
        tiny(**inputs)


@pytest.mark.parametrize("model", MODELS)
def test_parts_that_stay_on_one_device_are_parts_of_the_models(model):
    """A name that no module bears would hold nothing together, without a word."""
    parts = {type(module).__name__ for task in TASKS for module in task_model(model, task).modules()}
    assert set(task_class(model, "MaskedLM")._no_split_modules) <= parts
