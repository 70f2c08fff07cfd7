"""One trunk for several tasks: each computes what a model of its own with the same weights would."""

from __future__ import annotations

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError

from configuration_vl import ViLBertConfig, VisualBertConfig
from configuration_vl.configuration_task_heads import TASK_KINDS
from modeling_vl import AutoModelForMultiTask
from modeling_vl.modeling_multi_task import TASK_CLASSES
from tests.tiny_models import VOCABULARY, tiny_model
from tests.tiny_tasks import both, task_class, task_inputs, task_labels, task_model

TASKS = {
    "vqa": {"kind": "question_answering", "num_labels": 5, "answer_loss": "kl"},
    "vcr": {"kind": "multiple_choice"},
    "snli_ve": {"kind": "classification", "num_labels": 3, "classifier_hidden_size": 0},
    "captions": {"kind": "retrieval"},
    "refcoco": {"kind": "referring_expressions"},
    "refcocog": {"kind": "referring_expressions", "head": "refcoco"},
    "phrases": {"kind": "phrase_grounding", "phrase_attention_size": 6},
}
CLASSES = {
    "vqa": "VisualQuestionAnswering",
    "vcr": "MultipleChoice",
    "snli_ve": "SequenceClassification",
    "captions": "ImageTextRetrieval",
    "refcoco": "RegionGrounding",
    "refcocog": "RegionGrounding",
    "phrases": "PhraseGrounding",
}


def multi_task_model(model, **fields):
    return tiny_model(task_class(model, "MultiTask"), multi_task_heads=TASKS, **fields)


def test_every_kind_of_the_config_has_its_class():
    assert tuple(TASK_CLASSES) == TASK_KINDS


@torch.no_grad()
@both
@pytest.mark.parametrize("task", TASKS)
def test_a_task_computes_what_its_own_class_computes(model, task):
    tiny, kind = multi_task_model(model), CLASSES[task]
    fields = {name: value for name, value in TASKS[task].items() if name not in ("kind", "head")}
    alone = task_model(model, kind, **fields)
    alone.base_model.load_state_dict(tiny.base_model.state_dict())
    head = tiny.cls[TASKS[task].get("head", task)]
    getattr(alone, alone.head_name).load_state_dict(head.state_dict())
    inputs, labels = task_inputs(kind), task_labels(kind)
    found, expected = tiny(**inputs, **labels, task=task), alone(**inputs, **labels)
    torch.testing.assert_close((found.loss, found.logits), (expected.loss, expected.logits), atol=0, rtol=0)
    assert tiny.predict(**inputs, task=task) == alone.predict(**inputs)


@both
def test_tasks_that_share_a_head_have_its_parameters_once(model):
    assert set(multi_task_model(model).cls) == set(TASKS) - {"refcocog"}


@torch.no_grad()
@both
@pytest.mark.parametrize("task", TASKS)
def test_every_task_reads_words_added_later(model, task):
    tiny, inputs = multi_task_model(model), task_inputs(CLASSES[task])
    tiny.resize_token_embeddings(VOCABULARY + 2, mean_resizing=False)
    inputs["input_ids"][..., 1] = VOCABULARY + 1
    assert tiny(**inputs, task=task).logits.isfinite().all()
    with pytest.raises(ValueError, match=f"between 0 and {VOCABULARY + 1} "):
        tiny(**{**inputs, "input_ids": inputs["input_ids"] + VOCABULARY}, task=task)


@torch.no_grad()
def test_a_task_picks_its_token():
    tiny = multi_task_model("ViLBert", num_task_tokens=7)
    inputs = task_inputs("RegionGrounding")
    alone = task_model("ViLBert", "RegionGrounding", num_task_tokens=7)
    alone.base_model.load_state_dict(tiny.base_model.state_dict())
    alone.cls.load_state_dict(tiny.cls["refcoco"].state_dict())
    for task, number in (("refcoco", 2), ("refcocog", 3)):
        expected = alone(**inputs, task_ids=torch.full((3,), number)).logits
        torch.testing.assert_close(tiny(**inputs, task=task).logits, expected, atol=0, rtol=0)
    texts = task_inputs("MultipleChoice")  # the token of a task stands in every choice
    assert tiny(**texts, task="vcr").logits.shape == (3, 4)


def test_a_task_may_name_its_token():
    named = {name: {**task, "task_id": 10 + place} for place, (name, task) in enumerate(TASKS.items())}
    config = ViLBertConfig(multi_task_heads=named, num_task_tokens=20)
    assert [config.task_id(name) for name in TASKS] == [10, 11, 12, 13, 14, 15, 16]
    # Without: the place of its name in the alphabet, which a saved config does not change.
    assert [ViLBertConfig(multi_task_heads=TASKS).task_id(name) for name in sorted(TASKS)] == [0, 1, 2, 3, 4, 5, 6]
    with pytest.raises(ValueError, match=r"'snli_ve'\] has the task id 12, but num_task_tokens is 12"):
        ViLBertConfig(multi_task_heads=named, num_task_tokens=12)


@both
def test_answers_have_the_names_of_their_task(model):
    named = {**TASKS, "vqa": {"kind": "question_answering", "id2label": {"0": "yes", "1": "no"}}}
    tiny = tiny_model(task_class(model, "MultiTask"), multi_task_heads=named)
    answers = tiny.predict(**task_inputs("VisualQuestionAnswering"), task="vqa", top_k=2)
    assert {one["answer"] for one in answers[0]} == {"yes", "no"}


@both
def test_a_saved_model_knows_its_tasks(model, tmp_path):
    tiny = multi_task_model(model)
    tiny.save_pretrained(tmp_path)
    loaded, info = AutoModelForMultiTask.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is task_class(model, "MultiTask")
    assert not info["missing_keys"] and not info["unexpected_keys"]
    inputs = task_inputs("RegionGrounding")
    torch.testing.assert_close(
        loaded.eval()(**inputs, task="refcocog").logits, tiny(**inputs, task="refcocog").logits, atol=0, rtol=0
    )


@both
def test_what_a_task_does_not_take_is_refused(model):
    tiny, inputs = multi_task_model(model), task_inputs("RegionGrounding")
    with pytest.raises(ValueError, match=r"task must be one of \['captions'.*got None"):
        tiny(**inputs)
    with pytest.raises(ValueError, match="got 'gqa'"):
        tiny.predict(**inputs, task="gqa")
    with pytest.raises(ValueError, match=r"\['owners'\] are given, but task 'refcoco' of kind 'referring_exp"):
        tiny(**inputs, task="refcoco", owners=torch.zeros(3).long())
    with pytest.raises(ValueError, match=r"\['top_k'\] are given, but task 'vcr' of kind 'multiple_choice'"):
        tiny.predict(**inputs, task="vcr", top_k=2)
    with pytest.raises(ValueError, match='needs config.multi_task_heads, for example {"vqa"'):
        tiny_model(task_class(model, "MultiTask"))


@pytest.mark.parametrize("config", [ViLBertConfig, VisualBertConfig])
@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"vqa": {"kind": "vqa"}}, r"multi_task_heads\['vqa'\] must be a dict whose 'kind' is one of"),
        ({"vqa": "question_answering"}, r"multi_task_heads\['vqa'\] must be a dict"),
        ({"vqa": {"kind": "retrieval", "labels": 3}}, r"\['vqa'\] names \['labels'\]; a task may give"),
        ({"vqa": {"kind": "retrieval", "hidden_size": 3}}, r"\['vqa'\] names \['hidden_size'\]"),
        ({"v.qa": {"kind": "retrieval"}}, r"\['v.qa'\]: a task's name is part of its parameters' names"),
        ({"vqa": {"kind": "retrieval", "head": "gqa"}}, r"shares the head of 'gqa', which is no task"),
        ({"vqa": {"kind": "retrieval", "head": ["gqa"]}}, r"shares the head of \['gqa'\], which is no task"),
        ({"vqa": {"kind": "retrieval", "task_id": "1"}}, "task_id must be a whole number of at least 0, got '1'"),
        ({"vqa": {"kind": "retrieval", "task_id": -1}}, "task_id must be a whole number of at least 0, got -1"),
        ({"vqa": {"kind": "classification", "num_labels": 0}}, "num_labels must be a whole number of at least 1"),
        ({"vqa": {"kind": "classification", "id2label": ["yes"]}}, r"id2label must map the numbers.*got \['yes'\]"),
        ({"vqa": {"kind": "classification", "id2label": {1: "yes"}}}, "id2label must map the numbers from 0 on"),
        (
            {
                "a": {"kind": "retrieval"},
                "b": {"kind": "retrieval", "head": "a"},
                "c": {"kind": "retrieval", "head": "b"},
            },
            "shares the head of 'b', which is no task with a head of its own",
        ),
        (
            {"a": {"kind": "retrieval"}, "b": {"kind": "multiple_choice", "head": "a"}},
            "of kind 'multiple_choice', but shares the head of 'a', of kind 'retrieval'",
        ),
        (
            {"a": {"kind": "retrieval"}, "b": {"kind": "retrieval", "head": "a", "retrieval_head": "score"}},
            r"\['b'\] names \['retrieval_head'\]; a task that shares a head may give \['head', 'kind', 'task_id'\]",
        ),
        ({"vqa": {"kind": "question_answering", "answer_loss": "mse"}}, r"\['vqa'\]: answer_loss must be one of"),
        ({"vqa": {"kind": "question_answering", "num_images": "2"}}, r"\['vqa'\]: .*num_images"),
    ],
)
def test_tasks_that_make_no_sense_are_refused(config, tasks, message):
    with pytest.raises(ValueError, match=message):
        config(multi_task_heads=tasks)


@pytest.mark.parametrize("config", [ViLBertConfig, VisualBertConfig])
def test_a_list_of_tasks_is_refused(config):
    with pytest.raises(StrictDataclassError, match="'multi_task_heads' expected a dict, got list"):
        config(multi_task_heads=["vqa"])
