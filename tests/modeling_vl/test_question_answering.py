"""Questions are answered from the right state, with the right loss."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.tiny_tasks import both, task_inputs, task_labels, task_model

TASK = "VisualQuestionAnswering"


@torch.no_grad()
def test_vilbert_answers_from_the_product_of_the_pooled_vectors():
    model, inputs = task_model("ViLBert", TASK), task_inputs(TASK)
    states = model.vilbert(**inputs)
    hidden = F.gelu(model.cls.dense(states.pooler_output * states.visual_pooler_output))
    assert hidden.shape == (3, 36)  # twice the pooled width
    hidden = F.layer_norm(hidden, (36,), model.cls.LayerNorm.weight, model.cls.LayerNorm.bias, eps=1e-12)
    torch.testing.assert_close(model(**inputs).logits, model.cls.decoder(hidden), atol=1e-5, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("masked", [True, False])
def test_visualbert_answers_from_the_last_word_piece_but_one(masked):
    model, inputs = task_model("VisualBert", TASK), task_inputs(TASK, padded=masked)
    states = model.visual_bert(**inputs).last_hidden_state
    places = [7, 3, 6] if masked else [7, 7, 7]
    expected = F.linear(states[torch.arange(3), places], model.cls.weight, model.cls.bias)
    torch.testing.assert_close(model(**inputs).logits, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_texts_padded_on_the_left_are_answered_from_the_same_word_piece():
    model, inputs = task_model("VisualBert", TASK), task_inputs(TASK)
    mask = inputs["attention_mask"]
    inputs["position_ids"] = torch.arange(9).expand(3, 9)
    expected = model(**inputs).logits
    for name in ("input_ids", "token_type_ids", "attention_mask", "position_ids"):
        rolled = [row.roll(9 - int(real)) for row, real in zip(inputs[name], mask.sum(1), strict=True)]
        inputs[name] = torch.stack(rolled)
    model.config.packed_execution = False  # the pooler's place is masked
    torch.testing.assert_close(model(**inputs).logits, expected, atol=1e-5, rtol=0)


@torch.no_grad()
@both
def test_where_to_answer_from_is_a_choice_of_the_config(model):
    inputs = task_inputs(TASK)
    default, other = {"ViLBert": ("pooled", "mask"), "VisualBert": ("mask", "pooled")}[model]
    tiny = task_model(model, TASK)
    assert tiny.config.answer_position == default
    changed = task_model(model, TASK, answer_position=other, classifier_hidden_size=0)
    states = changed.base_model(**inputs)
    tokens, fused = states.last_hidden_state[torch.arange(3), [7, 3, 6]], states.pooler_output
    state = tokens if other == "mask" else fused
    torch.testing.assert_close(changed(**inputs).logits, changed.cls(state), atol=1e-5, rtol=0)


def test_the_two_layers_are_those_of_the_config():
    model = task_model(
        "ViLBert",
        TASK,
        classifier_hidden_size=7,
        classifier_act="relu",
        classifier_layer_norm=False,
        classifier_dropout_prob=0.5,
        head_dropout_prob=0.0,
    )
    vectors = torch.randn(4, 18)
    expected = model.cls.decoder(model.cls.dense(vectors).relu())
    torch.testing.assert_close(model.cls(vectors), expected)
    assert set(dict(model.cls.named_parameters())) == {"dense.weight", "dense.bias", "decoder.weight", "decoder.bias"}
    model.cls.train()
    assert (model.cls(vectors) - expected).abs().max() > 0.01  # dropout between the layers


@torch.no_grad()
@both
def test_soft_scores_have_the_loss_of_the_config(model):
    inputs, labels = task_inputs(TASK), task_labels(TASK)["labels"]
    for name in ("bce", "kl"):
        tiny = task_model(model, TASK, answer_loss=name)
        output = tiny(**inputs, labels=labels)
        if name == "bce":
            expected = F.binary_cross_entropy_with_logits(output.logits, labels) * 5
        else:
            expected = torch.nn.KLDivLoss(reduction="batchmean")(output.logits.log_softmax(-1), labels)
        torch.testing.assert_close(output.loss, expected)
    assert task_model(model, TASK).config.answer_loss == {"ViLBert": "bce", "VisualBert": "kl"}[model]


@torch.no_grad()
@both
def test_answer_numbers_have_cross_entropy(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    output = tiny(**inputs, labels=torch.tensor([4, -100, 0]))
    torch.testing.assert_close(output.loss, F.cross_entropy(output.logits[[0, 2]], torch.tensor([4, 0])))
    assert tiny(**inputs, labels=torch.full((3,), -100)).loss == 0


@both
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 5, 1]), r"labels must lie between 0 and 4 \(num_labels\), or -100; got 5"),
        (torch.tensor([0, 1]), r"labels must be \[3\], got \[2\]"),
        (torch.tensor([0.5, 0, 1]), "labels must be int64"),
        (torch.zeros(3, 4), r"soft answer scores.*must be \[3, 5\], got \[3, 4\]"),
        (torch.zeros(3, 5).long(), "soft answer scores.*floating-point"),
        (torch.full((3, 5), 1.5), "labels must be finite and at least 0 and at most 1, got values from 1.5"),
    ],
)
def test_labels_that_fit_nothing_are_refused(model, labels, message):
    with pytest.raises(ValueError, match=message):
        task_model(model, TASK)(**task_inputs(TASK), labels=labels)


def test_a_text_without_a_mask_in_front_of_its_end_is_refused():
    inputs = task_inputs(TASK)
    inputs["attention_mask"][1, 1:] = 0
    with pytest.raises(ValueError, match=r"texts \[1\] have fewer than two word pieces"):
        task_model("VisualBert", TASK)(**inputs)


@both
def test_answers_come_with_names_and_scores(model):
    names = {0: "yes", 1: "no", 2: "2", 3: "red", 4: "cat"}
    tiny, inputs = task_model(model, TASK, id2label=names), task_inputs(TASK)
    logits = tiny(**inputs).logits
    scores = logits.sigmoid() if model == "ViLBert" else logits.softmax(-1)
    answers = tiny.predict(**inputs, top_k=2)
    for row, found in zip(scores, answers, strict=True):
        best = row.argsort(descending=True)[:2].tolist()
        assert [one["answer"] for one in found] == [names[i] for i in best]
        assert [one["score"] for one in found] == pytest.approx([row[i].item() for i in best], abs=1e-6)
    assert [len(found) for found in tiny.predict(**inputs, top_k=99)] == [5, 5, 5]
    assert tiny.predict(**inputs) == [found[:1] for found in answers]


def test_visualbert_answers_without_an_image_but_vilbert_does_not():
    """The blind baseline: a head that reads a word piece needs no region."""
    inputs = {name: x for name, x in task_inputs(TASK).items() if not name.startswith("visual")}
    assert task_model("VisualBert", TASK)(**inputs).logits.shape == (3, 5)
    with pytest.raises(ValueError, match="ViLBERT needs visual_embeds"):
        task_model("ViLBert", TASK)(**inputs)
