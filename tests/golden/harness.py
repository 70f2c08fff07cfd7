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
from modeling_vl.conversion.renaming import MODEL_CLASSES
from tests.golden.fixtures import GoldenFile

TOLERANCE = 1e-5
BACKENDS = ("eager", "sdpa")
LAYOUTS = ("padded", "packed")

EAGER_ONLY = "only the eager backend returns attention weights"


class Ours(NamedTuple):
    """Our number for one stored output.

    Attributes:
        kind: "states", "pooled", "attention", "logits" or "loss".
        tensor: Its value; None for attention weights that the backend does not return.
        mask: `[B, L]` of real tokens for states and logits `[B, L, ...]` and for the queries of attention weights
            `[B, heads, L, K]`; None when every place is real.
    """

    kind: str
    tensor: Tensor | None
    mask: Tensor | None = None


class Comparison(NamedTuple):
    """One stored output against ours.

    Attributes:
        name: Name of the stored output.
        kind: As in `Ours`.
        difference: Largest absolute difference; None when it was not compared.
        reason: Why it was not compared.
    """

    name: str
    kind: str
    difference: float | None
    reason: str = ""


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

    def convert(self, **changes: Any) -> Conversion:
        """Convert the file's weights, the original config changed on request."""
        state = {name: tensor.clone() for name, tensor in self.golden.weights.items()}
        return convert(CODE_BASES[self.golden.code_base], {**self.golden.config, **changes}, state)

    def model(self, **changes: Any) -> PreTrainedModel:
        """The converted model in evaluation mode."""
        conversion = self.convert(**changes)
        config = conversion.config
        config._attn_implementation = self.backend
        config.packed_execution = self.layout == "packed"
        has_heads = any(name.startswith("cls.") for name in conversion.state)
        model = MODEL_CLASSES[type(config)][has_heads](config)
        loaded = model.load_state_dict(conversion.state, strict=False)
        assert not loaded.unexpected_keys
        assert set(loaded.missing_keys) <= set(model.all_tied_weights_keys)
        return model.eval()

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
            that is not stored, shapes differ, or packed states are not zero at padding.
    """
    comparisons, remaining = [], dict(case.outputs)
    with torch.no_grad():
        for name, ours in produce(case):
            assert name in remaining, f"{case.golden.name} stores no output {name}, or it was compared twice"
            comparisons.append(_compare(case, name, ours, remaining.pop(name)))
    for name in sorted(remaining):
        reasons = [reason for pattern, reason in not_compared.items() if re.fullmatch(pattern, name)]
        assert reasons, f"{case.golden.name}: output {name} is neither compared nor left out with a reason"
        comparisons.append(Comparison(name, "left out", None, reasons[0]))
    return comparisons


def _compare(case: Case, name: str, ours: Ours, stored: Tensor) -> Comparison:
    if ours.tensor is None:
        assert ours.kind == "attention" and not case.wants_attentions, f"{name}: our model returned nothing"
        return Comparison(name, ours.kind, None, EAGER_ONLY)
    tensor = ours.tensor.reshape(stored.shape) if ours.kind == "loss" else ours.tensor
    assert tensor.shape == stored.shape, f"{name}: ours is {list(tensor.shape)}, stored {list(stored.shape)}"
    if ours.mask is not None and case.layout == "packed" and not bool(ours.mask.all()):
        real = ours.mask.bool()
        if ours.kind == "attention":
            tensor, stored = tensor.transpose(1, 2), stored.transpose(1, 2)
        if ours.kind != "logits":
            assert not tensor[~real].any(), f"{name}: packed execution left something at padding"
        tensor, stored = tensor[real], stored[real]
    difference = (tensor - stored).abs().max().item()
    return Comparison(name, ours.kind, difference)
