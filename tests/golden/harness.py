"""Runs a converted model like its code base did and holds every stored number against ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers.modeling_utils import PreTrainedModel

from modeling_vl.conversion import CODE_BASES, Conversion, convert
from modeling_vl.conversion.folder import build_model
from tests.golden.fixtures import GoldenFile

TOLERANCE = 1e-5
BACKENDS = ("eager", "sdpa")
LAYOUTS = ("padded", "packed")

HOPELESS = -9000.0
"""Scores of padding lie below; the originals add -10000 to whatever the padding scores."""

EAGER_ONLY = "only the eager backend returns attention weights"


class Ours(NamedTuple):
    """Our number for one stored output.

    Attributes:
        kind: "states", "pooled", "attention", "logits", "scores" or "loss".
        tensor: Its value; None for attention weights that the backend does not return.
        mask: `[B, L]` of real tokens for states and logits `[B, L, ...]` and for the queries of attention weights
            `[B, heads, L, K]`; of their own shape for scores of regions, where rows without a real one are not asked
            for; None when every place is real.
        by: Our class, where it is not the one that holds the whole checkpoint.
        summands: How many numbers a loss sums up. Where the sum is so large that float32 has no steps as small as the
            tolerance, the mean is compared.
    """

    kind: str
    tensor: Tensor | None
    mask: Tensor | None = None
    by: str = ""
    summands: int = 1


class Comparison(NamedTuple):
    """One stored output against ours.

    Attributes:
        name: Name of the stored output.
        kind: As in `Ours`.
        difference: Largest absolute difference; None when it was not compared.
        reason: Why it was not compared.
        by: As in `Ours`.
    """

    name: str
    kind: str
    difference: float | None
    reason: str = ""
    by: str = ""


class Case:
    """One golden file under one backend and one layout.

    Args:
        golden: The file.
        backend: Name of the attention function.
        layout: "packed" or "padded".
    """

    def __init__(self, golden: GoldenFile, backend: str = "eager", layout: str = "padded") -> None:
        self.golden, self.backend, self.layout = golden, backend, layout
        self.inputs, self.outputs = golden.inputs, golden.outputs

    def convert(self, task: str | None = None, entry: str | None = None, **changes: Any) -> Conversion:
        """Convert the file's weights, with the head of a task and the original config changed on request."""
        state = {name: tensor.clone() for name, tensor in self.golden.weights.items()}
        values = {**self.golden.config, **changes}
        return convert(CODE_BASES[self.golden.code_base], values, state, task=task, entry=entry)

    def model(self, task: str | None = None, entry: str | None = None, **changes: Any) -> PreTrainedModel:
        """The converted model in evaluation mode."""
        conversion = self.convert(task, entry, **changes)
        conversion.config._attn_implementation = self.backend
        conversion.config.packed_execution = self.layout == "packed"
        model = build_model(conversion)
        assert set(model.state_dict()) - set(conversion.state) <= set(model.all_tied_weights_keys)
        return model

    @cached_property
    def plain(self) -> PreTrainedModel:
        """The model of the unchanged config."""
        return self.model()

    @property
    def wants_attentions(self) -> bool:
        """Whether attention weights are asked for: that would switch any other backend to eager."""
        return self.backend == "eager"


def base_model(model: PreTrainedModel) -> PreTrainedModel:
    """The model without heads."""
    return getattr(model, model.base_model_prefix, model)


def padded(tokens: Tensor, mask: Tensor | None) -> Tensor:
    """Put packed tokens `[N, ...]` back at their places; what is padded already stays."""
    if mask is None or tokens.shape[:2] == mask.shape:
        return tokens
    places = tokens.new_zeros(*mask.shape, *tokens.shape[1:])
    places[mask.bool()] = tokens
    return places


def by_rules(names: Mapping[str, str], rules: Mapping[str, Callable[..., Ours]]) -> Iterator[tuple[str, Ours]]:
    """Our numbers for the names that some rule knows.

    Args:
        names: Names of stored outputs, to what rules call them.
        rules: Regular expressions, to what makes our number of their groups; numbers among these are given as such.
            The first that matches counts.

    Yields:
        Name of the stored output, and our number.
    """
    for name, called in names.items():
        for pattern, rule in rules.items():
            match = re.fullmatch(pattern, called)
            if match:
                groups = (group for group in match.groups() if group is not None)
                yield name, rule(*(int(group) if group.isdigit() else group for group in groups))
                break


class Recorder:
    """Keeps what modules return in the next forward pass.

    Args:
        modules: The modules by a name of one's own.
    """

    def __init__(self, modules: Mapping[str, nn.Module]) -> None:
        self.outputs: dict[str, Any] = {}
        self._handles = [module.register_forward_hook(self._keep(name)) for name, module in modules.items()]

    def _keep(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: object, output: Any) -> None:
            self.outputs[name] = output

        return hook

    def __enter__(self) -> Recorder:
        return self

    def __exit__(self, *exception: object) -> None:
        for handle in self._handles:
            handle.remove()


def compare(
    case: Case, produce: Callable[[Case], Iterator[tuple[str, Ours]]], not_compared: Mapping[str, str]
) -> list[Comparison]:
    """Hold every stored output of a golden file against ours.

    Args:
        case: The file, backend and layout.
        produce: Yields our numbers by the name of the stored output.
        not_compared: Pattern of output names to the reason why they are left out.

    Returns:
        One comparison an output.

    Raises:
        AssertionError: When an output is neither compared nor left out with a reason, a number is given for an output
            that is not stored or twice by one class, shapes differ, packed states are not zero at padding, or padding
            could win.
    """
    comparisons, seen = [], set()
    with torch.no_grad():
        for name, ours in produce(case):
            assert name in case.outputs, f"{case.golden.name} stores no output {name}"
            assert (name, ours.by) not in seen, f"{case.golden.name}: {name} is compared twice"
            seen.add((name, ours.by))
            comparisons.append(_compare(case, name, ours, case.outputs[name]))
    for name in sorted(set(case.outputs) - {name for name, _ in seen}):
        reasons = [reason for pattern, reason in not_compared.items() if re.fullmatch(pattern, name)]
        assert reasons, f"{case.golden.name}: output {name} is neither compared nor left out with a reason"
        comparisons.append(Comparison(name, "left out", None, reasons[0]))
    return comparisons


def _compare(case: Case, name: str, ours: Ours, stored: Tensor) -> Comparison:
    if ours.tensor is None:
        assert ours.kind == "attention" and not case.wants_attentions, f"{name}: our model returned nothing"
        return Comparison(name, ours.kind, None, EAGER_ONLY)
    tensor = ours.tensor.reshape(stored.shape) if ours.kind == "loss" else ours.tensor
    if ours.kind == "scores" and ours.mask is not None:
        real = ours.mask.bool()
        padding = ~real & real.any(-1, keepdim=True)
        assert (tensor[padding] <= HOPELESS).all(), f"{name}: padding could win"
        tensor, stored = tensor[real], stored.reshape(real.shape)[real]
        return Comparison(name, ours.kind, (tensor - stored).abs().max().item(), by=ours.by)
    assert tensor.shape == stored.shape, f"{name}: ours is {list(tensor.shape)}, stored {list(stored.shape)}"
    if ours.mask is not None and case.layout == "packed" and not bool(ours.mask.all()):
        real = ours.mask.bool()
        if ours.kind == "attention":
            tensor, stored = tensor.transpose(1, 2), stored.transpose(1, 2)
        if ours.kind != "logits":
            assert not tensor[~real].any(), f"{name}: packed execution left something at padding"
        tensor, stored = tensor[real], stored[real]
    if torch.finfo(torch.float32).eps * stored.abs().max() > TOLERANCE:
        tensor, stored = tensor / ours.summands, stored / ours.summands
    difference = (tensor - stored).abs().max().item()
    return Comparison(name, ours.kind, difference, by=ours.by)
