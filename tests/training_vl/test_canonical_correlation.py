"""Closed forms against cases whose answer is known."""

from __future__ import annotations

import pytest
import torch

from training_vl.canonical_correlation import canonical_maps, fit_linear


def test_what_two_views_share_is_found_and_the_rest_is_left_out() -> None:
    generator = torch.Generator().manual_seed(0)
    shared = torch.randn(4000, 2, generator=generator, dtype=torch.float64)
    noise = torch.randn(4000, 6, generator=generator, dtype=torch.float64)
    first = torch.cat((shared[:, :1] * 3, noise[:, :2], shared[:, 1:] + noise[:, 2:3]), dim=1)
    second = torch.cat((noise[:, 3:5] * 5, shared[:, 1:], -shared[:, :1]), dim=1)
    first, second = first - first.mean(0), second - second.mean(0)
    maps = canonical_maps(first, second, 2, first_ridge=0.0, second_ridge=0.0)
    # Direction 1 is shared in full; of direction 2 one view has signal and noise of equal variance: 1 / sqrt(2).
    torch.testing.assert_close(maps.correlations, torch.tensor([1.0, 0.5**0.5]).double(), atol=0.02, rtol=0)
    products = (first @ maps.first).T @ (second @ maps.second) / len(first)
    torch.testing.assert_close(products, maps.correlations.pow(3).diag(), atol=1e-6, rtol=0)


def test_a_ridge_makes_chance_agreement_small() -> None:
    generator = torch.Generator().manual_seed(1)
    first, second = (torch.randn(60, 40, generator=generator) for _ in range(2))
    first, second = first - first.mean(0), second - second.mean(0)
    loose = canonical_maps(first, second, 8, first_ridge=0.0, second_ridge=0.0)
    strict = canonical_maps(first, second, 8, first_ridge=5.0, second_ridge=5.0)
    assert loose.correlations[0] > 0.99
    assert strict.correlations[0] < 0.3
    assert strict.first.dtype == torch.float32


def test_too_few_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="5 pairs of 9 and 8 numbers have fewer than 6 directions"):
        canonical_maps(torch.randn(5, 9), torch.randn(5, 8), 6, first_ridge=1.0, second_ridge=1.0)


def test_a_linear_layer_is_found_again() -> None:
    generator = torch.Generator().manual_seed(2)
    layer = torch.nn.Linear(5, 3)
    inputs = torch.randn(50, 5, generator=generator) + 4
    fit = fit_linear(inputs, layer(inputs).detach(), 0.0)
    torch.testing.assert_close(fit.weight, layer.weight.detach(), atol=1e-5, rtol=0)
    torch.testing.assert_close(fit.bias, layer.bias.detach(), atol=1e-5, rtol=0)
    assert fit.explained == pytest.approx(1.0)
    assert fit_linear(inputs, layer(inputs).detach(), 1.0).explained == pytest.approx(0.75, abs=0.1)
