"""Dropout that draws its masks at a quarter of the usual cost on CPUs.

On a CPU torch draws one number for every state, which took a tenth of a training step in float32 and a fifth in
bfloat16. Here each 64-bit number of the same generator decides on four states.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .input_checks import builds_graph

LEVELS = 1 << 16
"""A quarter of a 64-bit number has so many values; probabilities are rounded to a multiple of 1 / LEVELS."""


def drop_states(states: Tensor, probability: float, training: bool) -> Tensor:
    """Set random states to 0 and scale the others, so that the expectation stays; in training only.

    On a CPU the probability is rounded to a multiple of 1/65536, and the scale with it. Other devices, graphs that are
    compiled or exported, and probabilities that would round to 0 or 1 go to torch's own dropout.

    Args:
        states: Of any shape.
        probability: Probability of setting a state to 0.
        training: Whether anything is dropped.

    Returns:
        Of the shape and type of `states`.
    """
    dropped = round(probability * LEVELS)
    if not training or states.device.type != "cpu" or builds_graph() or not 0 < dropped < LEVELS:
        return nn.functional.dropout(states, probability, training)
    with torch.no_grad():
        draws = torch.empty((states.numel() + 3) // 4, dtype=torch.int64, device=states.device)
        draws.random_(torch.iinfo(torch.int64).min, None)
        levels = draws.view(torch.int16)[: states.numel()].view(states.shape)
        factors = torch.empty_like(states, memory_format=torch.contiguous_format)
        torch.ge(levels, torch.iinfo(torch.int16).min + dropped, out=factors)
        factors.mul_(LEVELS / (LEVELS - dropped))
    return states * factors


class Dropout(nn.Dropout):
    """`drop_states` as a module."""

    def forward(self, input: Tensor) -> Tensor:
        """See `drop_states`."""
        return drop_states(input, self.p, self.training)
