"""Masked words with an image, without the other heads of pre-training."""

from __future__ import annotations

import pytest
import torch

from tests.tiny_models import VOCABULARY, tiny_inputs, tiny_labels, tiny_model
from tests.tiny_tasks import both, task_class, task_inputs, task_model

TASK = "MaskedLM"


@torch.no_grad()
@both
def test_it_is_pretraining_without_its_other_losses(model, tmp_path):
    pretrained = tiny_model(task_class(model, "PreTraining"))
    pretrained.save_pretrained(tmp_path)
    tuned = task_class(model, TASK).from_pretrained(tmp_path).eval()
    inputs, labels = tiny_inputs(), tiny_labels(regions=False)["labels"]
    expected, found = pretrained(**inputs, labels=labels, return_logits=True), tuned(**inputs, labels=labels)
    assert found.logits is None
    torch.testing.assert_close(found.loss, expected.mlm_loss, atol=1e-6, rtol=0)
    logits = tuned(**inputs).logits
    assert logits.shape == (3, 9, VOCABULARY)
    torch.testing.assert_close(logits, expected.prediction_logits[:, :9], atol=1e-5, rtol=0)


@torch.no_grad()
@both
def test_labels_may_cover_regions_but_not_name_words_there(model):
    tiny, inputs, labels = task_model(model, TASK), tiny_inputs(), tiny_labels(regions=False)["labels"]
    wide = torch.nn.functional.pad(labels, (0, 6), value=-100)
    expected = tiny(**inputs, labels=labels).loss
    torch.testing.assert_close(tiny(**inputs, labels=wide).loss, expected, atol=0, rtol=0)
    wide[1, 10] = 3
    with pytest.raises(ValueError, match=r"labels of rows \[1\] lie on regions"):
        tiny(**inputs, labels=wide)
    labels[1, 7] = 3
    with pytest.raises(ValueError, match=r"labels of rows \[1\] lie on padding"):
        tiny(**inputs, labels=labels)


@both
def test_the_decoder_is_the_word_table_and_grows_with_it(model, tmp_path):
    tiny = task_model(model, TASK)
    assert tiny.get_output_embeddings().weight is tiny.get_input_embeddings().weight
    tiny.resize_token_embeddings(VOCABULARY + 3)
    assert tiny(**task_inputs(TASK)).logits.shape[-1] == VOCABULARY + 3
    tiny.save_pretrained(tmp_path)
    loaded = task_class(model, TASK).from_pretrained(tmp_path)
    assert loaded.get_output_embeddings().weight is loaded.get_input_embeddings().weight


@both
def test_predict_fills_the_masks(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    mask = 98
    inputs["input_ids"] = inputs["input_ids"].clamp(max=97)
    inputs["input_ids"][0, 2] = inputs["input_ids"][0, 5] = inputs["input_ids"][2, 1] = mask
    probabilities = tiny(**inputs).logits.softmax(-1)
    found = tiny.predict(mask_token_id=mask, top_k=3, **inputs)
    assert [len(text) for text in found] == [2, 0, 1]
    for words, (text, place) in zip([*found[0], *found[2]], [(0, 2), (0, 5), (2, 1)], strict=True):
        scores, best = probabilities[text, place].topk(3)
        assert [word["token_id"] for word in words] == best.tolist()
        assert [word["score"] for word in words] == pytest.approx(scores.tolist(), abs=1e-6)
