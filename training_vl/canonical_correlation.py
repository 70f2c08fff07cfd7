"""Regularised canonical correlation: the two linear maps under which paired vectors agree most."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class CanonicalMaps(NamedTuple):
    """Two linear maps into one space, where inner products tell how well two vectors fit.

    Attributes:
        first: `[D1, K]`.
        second: `[D2, K]`.
        correlations: `[K]`, of the training pairs, descending; the columns of both maps are weighted with them.
    """

    first: Tensor
    second: Tensor
    correlations: Tensor


def canonical_maps(
    first: Tensor, second: Tensor, size: int, *, first_ridge: float, second_ridge: float
) -> CanonicalMaps:
    """Canonical correlation analysis (Hotelling, 1936) with ridges, its directions weighted by their correlations.

    The weights are those of Gong et al. (2014), "A multi-view embedding space", section 3.2, with power 1: directions
    in which the pairs hardly agree shall hardly count.

    Args:
        first: Centred vectors `[N, D1]`.
        second: Their centred partners `[N, D2]`.
        size: Directions to keep, K.
        first_ridge: Added to the covariance of `first`, as a share of its mean variance.
        second_ridge: The same for `second`. The larger the ridges, the closer is the result to the directions of
            largest covariance, and the less of it is learnt by heart.

    Returns:
        The maps, in the vectors' own type.

    Raises:
        ValueError: If there are fewer than `size` directions.
    """
    if size > min(first.shape[1], second.shape[1], len(first) - 1):
        raise ValueError(
            f"{len(first)} pairs of {first.shape[1]} and {second.shape[1]} numbers have fewer than {size} directions"
        )
    x, y = first.double(), second.double()
    whiten_first, whiten_second = _whitening(x, first_ridge), _whitening(y, second_ridge)
    left, correlations, right = torch.linalg.svd(whiten_first.T @ (x.T @ y / len(x)) @ whiten_second)
    weights = correlations[:size]
    maps = whiten_first @ left[:, :size] * weights, whiten_second @ right[:size].T * weights
    return CanonicalMaps(*(each.to(first.dtype) for each in (*maps, weights)))


def _whitening(x: Tensor, ridge: float) -> Tensor:
    """The inverse square root of the covariance of `x` `[N, D]` and its ridge, `[D, D]`."""
    covariance = x.T @ x / len(x)
    covariance += ridge * covariance.trace() / len(covariance) * torch.eye(len(covariance), dtype=x.dtype)
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp(min=torch.finfo(x.dtype).eps).rsqrt() @ vectors.T


class LinearFit(NamedTuple):
    """A linear layer and how well it does.

    Attributes:
        weight: `[D_out, D_in]`.
        bias: `[D_out]`.
        explained: Share of the targets' variance that it explains.
    """

    weight: Tensor
    bias: Tensor
    explained: float


def fit_linear(inputs: Tensor, targets: Tensor, ridge: float) -> LinearFit:
    """Ridge regression with an unpenalised bias.

    Args:
        inputs: `[N, D_in]`.
        targets: `[N, D_out]`.
        ridge: Added to the covariance of the inputs, as a share of its mean variance.

    Returns:
        The layer, in the inputs' own type.
    """
    x, y = inputs.double(), targets.double()
    centred, wanted = x - x.mean(0), y - y.mean(0)
    covariance = centred.T @ centred / len(x)
    covariance += ridge * covariance.trace() / len(covariance) * torch.eye(len(covariance), dtype=x.dtype)
    weight = torch.linalg.solve(covariance, centred.T @ wanted / len(x))
    missed = (centred @ weight - wanted).square().sum() / wanted.square().sum()
    bias = y.mean(0) - x.mean(0) @ weight
    return LinearFit(weight.T.to(inputs.dtype), bias.to(inputs.dtype), 1 - missed.item())
