"""Dropout on CPUs: how many states it sets to 0, what it does to the others, and where torch's own takes over."""

from __future__ import annotations

import pytest
import torch

from modeling_vl.dropout import LEVELS, Dropout, drop_states


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("probability", [0.1, 0.5, 1 / 3])
def test_share_and_scale(dtype: torch.dtype, probability: float) -> None:
    torch.manual_seed(0)
    dropped = drop_states(torch.ones(1000, 1001, dtype=dtype), probability, training=True)
    zeros = (dropped == 0).double().mean().item()
    standard_error = (probability * (1 - probability) / dropped.numel()) ** 0.5
    assert abs(zeros - probability) < 4 * standard_error + 1 / LEVELS
    kept = dropped[dropped != 0]
    torch.testing.assert_close(
        kept, torch.full_like(kept, 1 / (1 - probability)), rtol=torch.finfo(dtype).eps, atol=2e-5
    )


def test_draws_are_independent() -> None:
    """Neighbours share a 64-bit number, rows and calls do not: none of them may go together."""
    torch.manual_seed(0)
    kept = [(drop_states(torch.ones(500, 2000), 0.5, training=True) > 0).double() - 0.5 for _ in range(2)]
    first, second = kept
    for other in (second, *(first.roll(shift, 1) for shift in (1, 2, 3, 4)), first.roll(1, 0)):
        assert abs((first * other).mean().item()) < 4 * 0.25 / first.numel() ** 0.5


@pytest.mark.parametrize("shape", [(1,), (3, 5), (0, 4), (2, 3, 4)])
def test_gradient_is_that_of_the_factors(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    states = torch.rand(shape, requires_grad=True)
    dropped = drop_states(states, 0.25, training=True)
    dropped.sum().backward()
    torch.testing.assert_close(states.grad * states, dropped)


def test_states_of_any_layout() -> None:
    transposed = torch.ones(7, 5).t()
    assert drop_states(transposed, 0.3, training=True).shape == (5, 7)


def test_follows_the_seed_and_the_mode() -> None:
    states, module = torch.randn(8, 8), Dropout(0.5)
    torch.manual_seed(1)
    first = module(states)
    torch.manual_seed(1)
    assert torch.equal(module(states), first)
    assert not torch.equal(module(states), first)
    assert module.eval()(states) is states


@pytest.mark.parametrize("probability", [0.0, 1.0, 1e-7, 1 - 1e-7])
def test_probabilities_that_would_round_away_go_to_torch(probability: float) -> None:
    states = torch.randn(50, 50)
    torch.manual_seed(2)
    expected = torch.nn.functional.dropout(states, probability, True)
    torch.manual_seed(2)
    assert torch.equal(drop_states(states, probability, training=True), expected)


def test_a_graph_holds_torch_dropout() -> None:
    exported = torch.export.export(Dropout(0.5).train(), (torch.ones(4, 4),))
    assert any("dropout" in str(node.target) for node in exported.graph.nodes)
    assert not any("random" in str(node.target) for node in exported.graph.nodes)
