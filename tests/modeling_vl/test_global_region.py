"""The global region is no masked region, wherever it lies."""

from __future__ import annotations

import pytest
import torch

from configuration_vl import VisualBertConfig
from modeling_vl.heads import PreTrainingHeads


@pytest.mark.parametrize(
    ("place", "mask", "counted"),
    [
        ("first", [1, 1, 1, 0], [1, 2]),
        ("last", [1, 1, 1, 0], [0, 1]),
        ("last", [1, 1, 0, 1], [0, 1]),  # VOLTA leaves the global region behind masked ones
        ("last", [1, 0, 0, 0], []),
        (None, [1, 1, 1, 0], [0, 1, 2]),
    ],
)
def test_labels_lie_on_regions_that_can_be_predicted(place, mask, counted):
    torch.manual_seed(0)
    config = VisualBertConfig(
        vocab_size=20,
        hidden_size=8,
        num_attention_heads=2,
        region_targets={"kl": 1.0},
        num_region_classes=5,
        global_region=place,
    )
    heads = PreTrainingHeads(config, 8, 1e-12)
    states, targets = torch.randn(1, 4, 8), torch.rand(1, 4, 5).softmax(-1)
    predicted = heads.region_predictions(states)["kl"].log_softmax(-1)
    each = torch.nn.functional.kl_div(predicted, targets, reduction="none").sum(-1)[0]
    for region in range(4):
        labels = torch.full((1, 4), -100)
        labels[0, region] = 1
        arguments = (states, labels, torch.tensor([mask]), {"region_class_probs": targets}, {})
        if region in counted:
            torch.testing.assert_close(heads.region_losses(*arguments)["kl"], each[region])
        else:
            with pytest.raises(ValueError, match=r"region_labels of rows \[0\] lie on padding, or on a global region"):
                heads.region_losses(*arguments)
