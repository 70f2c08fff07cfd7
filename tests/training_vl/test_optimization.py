"""AdamW's groups over both models, and the learning rate schedule."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from tests.tiny_models import PRETRAINING_CLASSES, tiny_model
from training_vl.arguments import TrainingArguments
from training_vl.optimization import make_optimizer, make_schedule, parameter_groups

VARIANTS = [
    (PRETRAINING_CLASSES[0], {}),
    (PRETRAINING_CLASSES[0], {"num_task_tokens": 3, "dynamic_attention": True, "tie_word_embeddings": False}),
    (PRETRAINING_CLASSES[1], {}),
    (PRETRAINING_CLASSES[1], {"region_targets": {"kl": 1.0, "mse": 1.0}, "bypass_transformer": True}),
]


@pytest.mark.parametrize(("model_class", "fields"), VARIANTS)
def test_every_parameter_is_in_the_right_group_once(model_class: type, fields: dict[str, Any]) -> None:
    model = tiny_model(model_class, **fields)
    decaying, constant = parameter_groups(model, 0.01)
    assert (decaying["weight_decay"], constant["weight_decay"]) == (0.01, 0.0)
    members = [id(parameter) for group in (decaying, constant) for parameter in group["params"]]
    assert sorted(members) == sorted(id(parameter) for parameter in model.parameters())
    norms = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.LayerNorm)
        for parameter in module.parameters(recurse=False)
    }
    biases = {id(parameter) for name, parameter in model.named_parameters() if name.endswith("bias")}
    assert {id(parameter) for parameter in constant["params"]} == norms | biases
    # Whatever is left is a matrix; no vector decays.
    assert all(parameter.dim() == 2 for parameter in decaying["params"])


def test_layer_norms_are_known_by_type_not_by_name() -> None:
    """The originals look for "LayerNorm.weight" and let `LayerNorm1.weight` and `logit_fc.2.weight` decay."""
    model = nn.ModuleDict({"LayerNorm1": nn.LayerNorm(4), "logit_fc": nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4))})
    decaying, constant = parameter_groups(model, 0.1)
    assert [tuple(parameter.shape) for parameter in decaying["params"]] == [(4, 4)]
    assert len(constant["params"]) == 5


def test_frozen_parameters_are_left_out() -> None:
    model = nn.Linear(3, 2)
    model.bias.requires_grad_(False)
    assert [len(group["params"]) for group in parameter_groups(model, 0.1)] == [1, 0]
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="Linear has no trainable parameter"):
        parameter_groups(model, 0.1)


def test_the_optimizer_has_the_settings_of_the_arguments() -> None:
    arguments = TrainingArguments(learning_rate=3e-4, adam_beta1=0.8, adam_beta2=0.98, adam_epsilon=1e-6)
    settings = make_optimizer(nn.Linear(3, 2), arguments).defaults
    assert (settings["lr"], settings["betas"], settings["eps"]) == (3e-4, (0.8, 0.98), 1e-6)


@pytest.mark.parametrize("warmup", [{"warmup_ratio": 0.4}, {"warmup_ratio": 0.9, "warmup_steps": 4}])
def test_learning_rate_rises_and_falls_linearly(warmup: dict[str, Any]) -> None:
    arguments = TrainingArguments(learning_rate=1.0, **warmup)
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = make_schedule(optimizer, arguments, total_steps=10, steps_per_epoch=5)
    rates = []
    for _ in range(11):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0, 1 / 4, 2 / 4, 3 / 4, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6, 0])


def test_a_constant_rate_drops_at_epochs() -> None:
    """vilbert_beta: warm-up, then constant, a tenth from epochs 12 and 16 on."""
    arguments = TrainingArguments(learning_rate=1.0, warmup_steps=2, schedule="constant", drop_epochs=[1.5, 3])
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = make_schedule(optimizer, arguments, total_steps=9, steps_per_epoch=2)
    rates = []
    for _ in range(9):
        rates.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert rates == pytest.approx([0, 0.5, 1, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01])


def test_heads_may_have_a_learning_rate_of_their_own() -> None:
    model = tiny_model(PRETRAINING_CLASSES[0])
    groups = make_optimizer(model, TrainingArguments(learning_rate=1e-5, head_learning_rate=1e-4)).param_groups
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [
        (1e-5, 0.01),
        (1e-5, 0.0),
        (1e-4, 0.01),
        (1e-4, 0.0),
    ]
    members = [{id(parameter) for parameter in group["params"]} for group in groups]
    assert members[0] | members[1] == {id(parameter) for parameter in model.base_model.parameters()}
    # The decoder's weight is the word embeddings': it counts with the base model.
    heads = {id(parameter) for parameter in model.cls.parameters()} - {id(model.get_input_embeddings().weight)}
    assert members[2] | members[3] == heads
    with pytest.raises(ValueError, match="ViLBertModel has no head: leave out head_learning_rate"):
        parameter_groups(model.base_model, 0.1, 1e-4)


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    with pytest.raises(ValueError, match="takes 20 steps, the whole run only 10"):
        make_schedule(optimizer, TrainingArguments(warmup_steps=20), total_steps=10, steps_per_epoch=5)
