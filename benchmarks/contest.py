"""A fair comparison of two or more ways to compute one thing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .measuring import count_flops, interleave, peak_memory

OURS = "ours"
TOLERANCE = 1e-4


@dataclass
class Side:
    """One way to compute a training step.

    Attributes:
        model: The model.
        loss: Computes the loss with the model, from the batch that it is to read.
        bf16: Whether it runs under bfloat16 autocast.
    """

    model: nn.Module
    loss: Callable[[nn.Module], Tensor]
    bf16: bool = False

    def step(self) -> None:
        """Forward and backward in training mode; the gradients are dropped."""
        self.model.train()
        with self._precision():
            loss = self.loss(self.model)
        loss.backward()
        self.model.zero_grad()

    @torch.no_grad()
    def evaluate(self) -> Tensor:
        """The loss without dropout, in float32."""
        self.model.eval()
        return self.loss(self.model)

    def flops(self) -> int:
        """Floating-point operations of a step's matrix products."""
        backend = self.model.config._attn_implementation
        self.model.set_attn_implementation("eager")
        try:
            return count_flops(self.step)
        finally:
            self.model.set_attn_implementation(backend)

    def memory(self) -> int:
        """Bytes of a step at the worst moment, beyond weights and gradients."""
        self.model.train()
        for parameter in self.model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        try:
            return peak_memory(lambda: self.loss(self.model).backward())
        finally:
            self.model.zero_grad()

    def _precision(self) -> AbstractContextManager:
        return torch.autocast("cpu", torch.bfloat16) if self.bf16 else nullcontext()


def check_same(values: Mapping[str, Tensor]) -> None:
    """Refuse to compare what does not compute the same.

    Args:
        values: What each side computes.

    Raises:
        RuntimeError: If a number of a peer differs from ours by more than `TOLERANCE`.
    """
    for name, value in values.items():
        difference = float((value - values[OURS]).abs().max())
        if not difference <= TOLERANCE:
            raise RuntimeError(f"the sides compute different things: {name} differs from {OURS} by {difference:g}")


def compare_steps(sides: Mapping[str, Side], needed: int, tokens: int, repeats: int = 3) -> dict[str, Any]:
    """Check that all sides have the same loss, then time their steps in turn.

    Args:
        sides: Ours under `OURS`, and the peers.
        needed: Operations that the mathematics needs.
        tokens: Real word pieces and regions of the batch.
        repeats: Times that each is measured.

    Returns:
        What was measured of each side, see `verdict`.

    Raises:
        RuntimeError: If the losses differ.
    """
    check_same({name: side.evaluate() for name, side in sides.items()})
    flops = {name: side.flops() for name, side in sides.items()}
    times = interleave({name: side.step for name, side in sides.items()}, repeats)
    return verdict(times, flops, needed, tokens)


def verdict(
    times: Mapping[str, Mapping[str, float]], flops: Mapping[str, int], needed: int, tokens: int
) -> dict[str, Any]:
    """How ours stands against each peer and the bound.

    Args:
        times: From `measuring.interleave`, ours under `OURS`.
        flops: Operations that each side does.
        needed: Operations that the mathematics needs.
        tokens: Real word pieces and regions that a run reads.

    Returns:
        `needed_flops`; `sides`, for each its times, `flops`, useful `tokens_per_second` and `flops_per_second` of the
        needed operations; `against`, for each peer the `ratio` of times, the `bound` that operations set to it, and
        the `share` of the bound that was reached.
    """
    sides = {
        name: {
            **time,
            "flops": flops[name],
            "tokens_per_second": tokens / time["seconds"],
            "flops_per_second": needed / time["seconds"],
        }
        for name, time in times.items()
    }
    against = {}
    for name in [name for name in times if name != OURS]:
        ratio, bound = times[name]["seconds"] / times[OURS]["seconds"], flops[name] / needed
        cpu_ratio = times[name]["cpu_seconds"] / times[OURS]["cpu_seconds"]
        against[name] = {"ratio": ratio, "cpu_ratio": cpu_ratio, "bound": bound, "share": ratio / bound}
    return {"needed_flops": needed, "sides": sides, "against": against}
