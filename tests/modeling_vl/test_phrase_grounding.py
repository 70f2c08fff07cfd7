"""Phrases find their regions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.tiny_tasks import both, task_inputs, task_labels, task_model

TASK = "PhraseGrounding"
LOWEST = torch.finfo(torch.float32).min


@torch.no_grad()
@both
@pytest.mark.parametrize("size", [None, 5])
def test_phrases_look_at_regions_from_their_last_word_piece(model, size):
    tiny, inputs = task_model(model, TASK, phrase_attention_size=size), task_inputs(TASK)
    width = size or 8  # 32 / 4 heads
    assert tiny.attention.query.out_features == tiny.attention.key.out_features == width
    states = tiny.base_model(**{name: x for name, x in inputs.items() if name != "phrase_positions"})
    regions = (
        states.visual_last_hidden_state if "visual_last_hidden_state" in states else states.last_hidden_state[:, 9:]
    )
    logits = tiny(**inputs).logits
    for example, phrase, place in [(0, 0, 1), (0, 1, 8), (0, 2, 4), (1, 0, 2), (2, 0, 4), (2, 1, 5)]:
        query = tiny.attention.query(states.last_hidden_state[example, place])
        keys = tiny.attention.key(regions[example])
        real = int(inputs["visual_attention_mask"][example].sum())
        expected = keys[:real] @ query / width**0.5
        torch.testing.assert_close(logits[example, phrase, :real], expected, atol=1e-5, rtol=0)
        assert (logits[example, phrase, real:] == LOWEST).all()


@torch.no_grad()
@both
def test_the_loss_is_the_divergence_divided_by_the_batch(model):
    tiny, inputs, labels = task_model(model, TASK), task_inputs(TASK), task_labels(TASK)["labels"]
    output = tiny(**inputs, labels=labels)
    expected = torch.nn.KLDivLoss(reduction="batchmean")(output.logits.log_softmax(-1), labels)
    torch.testing.assert_close(output.loss, expected)
    labels[0, 1] = 0  # a phrase without a region takes no part
    rest = tiny(**inputs, labels=labels).loss
    skipped = F.kl_div(output.logits[0, 1].log_softmax(-1), task_labels(TASK)["labels"][0, 1], reduction="sum") / 3
    torch.testing.assert_close(rest, expected - skipped)
    assert tiny(**inputs, labels=torch.zeros(3, 3, 6)).loss == 0


@both
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"phrase_positions": None}, r"phrase_positions must be \[sentences, phrases\].*got None"),
        ({"phrase_positions": torch.tensor([1, 2, 3])}, r"must be \[sentences, phrases\].*got \[3\]"),
        ({"phrase_positions": torch.tensor([[1], [2]])}, r"phrase_positions must be \[3, 1\], got \[2, 1\]"),
        ({"phrase_positions": torch.tensor([[1], [9], [2]])}, "phrase_positions must lie between 0 and 8.*got 9"),
        ({"phrase_positions": torch.tensor([[1], [7], [2]])}, r"phrase_positions of rows \[1\] lie on padding"),
        ({"labels": torch.zeros(3, 6)}, r"distribution over regions.*must be \[3, 3, 6\], got \[3, 6\]"),
        ({"labels": -torch.ones(3, 3, 6)}, "labels must be finite and at least 0"),
        ({"labels": torch.ones(3, 3, 6)}, r"labels of rows \[0, 1, 2\] are above 0 at padded regions, or for phrases"),
        ({"visual_embeds": None, "visual_attention_mask": None}, "visual_embeds"),
    ],
)
def test_what_does_not_fit_is_refused(model, extra, message):
    with pytest.raises(ValueError, match=message):
        task_model(model, TASK)(**{**task_inputs(TASK), **extra})


def test_half_precision_hides_padding_without_an_overflow():
    tiny, labels = task_model("VisualBert", TASK).to(torch.float16), task_labels(TASK)["labels"]
    output = tiny(**task_inputs(TASK), labels=labels)
    expected = task_model("VisualBert", TASK)(**task_inputs(TASK), labels=labels)
    assert output.logits.min() == torch.finfo(torch.float16).min
    torch.testing.assert_close(output.loss, expected.loss, rtol=0.05, atol=0)


@both
def test_predict_gives_the_phrases_that_are_there(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    boxes = torch.arange(72.0).view(3, 6, 4).tolist()
    logits, found = tiny(**inputs).logits, tiny.predict(**inputs, top_k=3, boxes=boxes)
    assert [len(sentence) for sentence in found] == [3, 1, 2]
    assert [len(phrase) for sentence in found for phrase in sentence] == [3, 3, 3, 2, 3, 3]  # image 1 has two regions
    best = logits[2, 1].argmax().item()
    assert found[2][1][0] == {
        "region": best,
        "score": pytest.approx(logits[2, 1].softmax(0)[best].item(), abs=1e-6),
        "box": boxes[2][best],
    }
