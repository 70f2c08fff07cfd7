"""Exported models as files, and running these."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.export import ExportedProgram

from .interface import Input

FORMATS = {"onnx": ".onnx", "torch": ".pt2"}
"""Suffixes of the formats."""

LARGEST_ONNX = 1_500_000_000
"""Bytes of weights that still stand in the `.onnx` file itself: no such file may have more than 2 GiB."""


class ExportedModel(Protocol):
    """An exported file, opened."""

    input_names: list[str]

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run it on all of its inputs; its outputs by name."""


def format_of(path: str | Path) -> str:
    """The format that a file's suffix names.

    Args:
        path: The file.

    Returns:
        A key of `FORMATS`.

    Raises:
        ValueError: For another suffix.
    """
    for name, suffix in FORMATS.items():
        if Path(path).suffix == suffix:
            return name
    raise ValueError(f"{path} must end in {' or '.join(FORMATS.values())}, which says the format")


def write_program(
    program: ExportedProgram, path: Path, inputs: Mapping[str, Input], output_names: Sequence[str]
) -> None:
    """Write a graph in the format that the suffix of a file names.

    Args:
        program: The traced model.
        path: The file. Where an `.onnx` would get too large, its weights go into a file beside it, `<name>.data`.
        inputs: What `inputs_of` says of the model.
        output_names: Of the graph's outputs.

    Raises:
        ValueError: For another suffix.
    """
    if format_of(path) == "torch":
        torch.export.save(program, path)
    else:
        _write_onnx(program, path, inputs, output_names)


def _write_onnx(
    program: ExportedProgram, path: Path, inputs: Mapping[str, Input], output_names: Sequence[str]
) -> None:
    from onnx_ir.passes.common import ClearMetadataAndDocStringPass

    named: set[str | int] = set()
    axes: dict[str, dict[int, str]] = {}
    for name, (names, _) in inputs.items():
        # Each axis once: the exporter warns when it is told a second time.
        axes[name] = {i: axis for i, axis in enumerate(names) if isinstance(axis, str) and axis not in named}
        named.update(names)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the exporter's own, of torch's tree functions
        onnx = torch.onnx.export(
            program,
            dynamo=True,
            verbose=False,
            input_names=list(inputs),
            output_names=list(output_names),
            dynamic_shapes={name: dims or None for name, dims in axes.items()},
        )
    ClearMetadataAndDocStringPass()(onnx.model)  # where in whose source each node comes from
    weights = sum(tensor.numel() * tensor.element_size() for tensor in program.state_dict.values())
    onnx.save(path, external_data=weights > LARGEST_ONNX)


class OnnxModel:
    """An ONNX file under ONNX Runtime, on the CPU.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self.input_names = [one.name for one in self._session.get_inputs()]
        self._output_names = [one.name for one in self._session.get_outputs()]

    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run it on all of its inputs; its outputs by name."""
        arrays = self._session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
        return {name: torch.from_numpy(array) for name, array in zip(self._output_names, arrays, strict=True)}


class TorchModel:
    """A program of `torch.export`.

    Args:
        path: The file.
    """

    def __init__(self, path: str | Path) -> None:
        program = torch.export.load(path)
        self._module = program.module()
        self.input_names = list(program.graph_signature.user_inputs)

    @torch.no_grad()
    def __call__(self, **inputs: Tensor) -> dict[str, Tensor]:
        """Run it on all of its inputs; its outputs by name."""
        return self._module(**inputs)


def open_exported(path: str | Path) -> ExportedModel:
    """Open an exported file to run it.

    Args:
        path: Ending in `.onnx` or `.pt2`.

    Returns:
        What takes the inputs by name and returns the outputs by name.

    Raises:
        ValueError: For another suffix.
    """
    return (OnnxModel if format_of(path) == "onnx" else TorchModel)(path)
