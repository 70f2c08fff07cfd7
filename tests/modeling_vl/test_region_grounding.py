"""Expressions find their region."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from tests.tiny_tasks import both, task_inputs, task_labels, task_model

TASK = "RegionGrounding"
LOWEST = torch.finfo(torch.float32).min


def region_states(tiny, inputs):
    states = tiny.base_model(**inputs)
    return states.visual_last_hidden_state if "visual_last_hidden_state" in states else states.last_hidden_state[:, 9:]


@torch.no_grad()
@both
def test_every_real_region_has_a_score_of_its_state(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    real = inputs["visual_attention_mask"].bool()
    expected = F.linear(region_states(tiny, inputs), tiny.cls.weight, tiny.cls.bias).squeeze(-1)
    logits = tiny(**inputs).logits
    torch.testing.assert_close(logits[real], expected[real], atol=1e-5, rtol=0)
    assert (logits[~real] == LOWEST).all() and (~real).sum() == 6


@torch.no_grad()
@both
def test_the_loss_is_the_sum_over_real_regions_and_padding_changes_nothing(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    labels = task_labels(TASK)["labels"]
    loss, logits = tiny(**inputs, labels=labels).loss, tiny(**inputs).logits
    expected = F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / 3  # 0 where logits are lowest
    torch.testing.assert_close(loss, expected)
    wider = {
        name: F.pad(x, (0, 0, 0, 2)) for name, x in inputs.items() if name in ("visual_embeds", "visual_locations")
    }
    wider["visual_attention_mask"] = F.pad(inputs["visual_attention_mask"], (0, 2))
    padded = tiny(**{**inputs, **wider}, labels=F.pad(labels, (0, 2))).loss
    torch.testing.assert_close(padded, loss, atol=1e-5, rtol=0)


def test_two_layers_on_request():
    tiny = task_model("ViLBert", TASK, region_classifier_hidden_size=9, classifier_layer_norm=False)
    states = torch.randn(2, 4, 24)
    expected = tiny.cls.decoder(F.gelu(tiny.cls.dense(states)))
    torch.testing.assert_close(tiny.cls(states), expected)


@both
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.ones(3, 6), r"labels above 0 of rows \[0, 1\] lie on padding"),
        (torch.zeros(3, 5), r"overlap of each region.*must be \[3, 6\], got \[3, 5\]"),
        (torch.zeros(3, 6).long(), "overlap of each region.*floating-point"),
        (torch.full((3, 6), 2.0), "labels must be finite and at least 0 and at most 1"),
    ],
)
def test_labels_that_fit_nothing_are_refused(model, labels, message):
    with pytest.raises(ValueError, match=message):
        task_model(model, TASK)(**task_inputs(TASK), labels=labels)


def test_there_must_be_regions():
    inputs = {name: x for name, x in task_inputs(TASK).items() if not name.startswith("visual")}
    with pytest.raises(ValueError, match="visual_embeds are missing: there are no regions"):
        task_model("VisualBert", TASK)(**inputs)


@both
def test_predict_gives_regions_with_their_boxes(model):
    tiny, inputs = task_model(model, TASK), task_inputs(TASK)
    boxes = torch.arange(72.0).view(3, 6, 4)
    real = inputs["visual_attention_mask"].sum(1).tolist()
    logits = tiny(**inputs).logits
    for example, found in enumerate(tiny.predict(**inputs, top_k=4, boxes=boxes)):
        assert len(found) == min(4, real[example])  # no padding, even where there are fewer regions than wanted
        best = logits[example].argsort(descending=True)[: len(found)].tolist()
        assert [one["region"] for one in found] == best
        assert [one["box"] for one in found] == [boxes[example, region].tolist() for region in best]
        assert [one["score"] for one in found] == pytest.approx(logits[example, best].sigmoid().tolist(), abs=1e-6)
    assert tiny.predict(**inputs)[0][0].keys() == {"region", "score"}
    with pytest.raises(ValueError, match="boxes are given for 2 images, but 3 were read"):
        tiny.predict(**inputs, boxes=boxes[:2])
    of_real = [of_image[:count] for of_image, count in zip(boxes, real, strict=True)]
    assert tiny.predict(**inputs, boxes=of_real) == tiny.predict(**inputs, boxes=boxes)
    # As who forgets that the processor put a region for the whole image in front.
    with pytest.raises(ValueError, match=f"{real[0] - 1} boxes are given for an image of which the model reads"):
        tiny.predict(**inputs, boxes=[of_image[1:] for of_image in of_real])
