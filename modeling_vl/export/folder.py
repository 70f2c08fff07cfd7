"""An exported model, checked, beside its config and its processor."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoConfig, AutoProcessor
from transformers.modeling_utils import PreTrainedModel
from transformers.utils import cached_file

import modeling_vl

from .checking import TOLERANCE, largest_differences
from .files import format_of, open_exported, write_program
from .interface import Axes, inputs_of, text_lengths
from .quantization import quantize_onnx
from .tracing import trace


@dataclass(frozen=True)
class Export:
    """What was written.

    Attributes:
        path: The exported file.
        inputs: Axes of its inputs by name.
        outputs: Axes of its outputs by name.
        differences: For each output the largest difference from the model; None when nobody looked.
        size_share: Bytes of the 8-bit file over those of the float32 one; None for a file in float32.
    """

    path: Path
    inputs: dict[str, Axes]
    outputs: dict[str, Axes]
    differences: dict[str, float] | None
    size_share: float | None


def load_model(name: str) -> PreTrainedModel:
    """Load a model as the class that its config names.

    Args:
        name: A folder or Hub id.

    Returns:
        The model in float32, in evaluation mode.

    Raises:
        ValueError: When its config names none of our classes.
    """
    architectures = AutoConfig.from_pretrained(name).architectures or []
    model_class = getattr(modeling_vl, architectures[0], None) if architectures else None
    if model_class is None:
        raise ValueError(f"the config of {name} names the classes {architectures}, none of which is this package's")
    return model_class.from_pretrained(name, dtype=torch.float32, attn_implementation="sdpa").eval()


def export_model(
    name: str,
    path: str | Path,
    *,
    task: str | None = None,
    further: Sequence[str] = (),
    check: bool = True,
    int8: bool = False,
) -> Export:
    """Export a model to a file; beside it go its config and processor, and `<file>.json` on inputs and outputs.

    All is written elsewhere first: a file that stands at `path` is whole, and computes what the model does.

    Args:
        name: A folder or Hub id of a model.
        path: The file to write, `.onnx` or `.pt2`.
        task: A key of `multi_task_heads`, for multi-task models.
        further: Inputs that the file shall have besides, of `FURTHER_INPUTS`.
        check: Whether to run the file and compare it with the model.
        int8: Whether to round weights and activations to 8 bits, once the file in float32 is checked.

    Returns:
        What was written; with `int8` the differences are those of the 8-bit file.

    Raises:
        FileExistsError: When the file is there already, or beside it what belongs to another model.
        ValueError: For a suffix, a task or an input that cannot be, and when the file in float32 differs from the
            model by more than `TOLERANCE`.
    """
    path = Path(path)
    if format_of(path) != "onnx" and int8:
        raise ValueError(f"8 bits are for ONNX Runtime: name a file that ends in .onnx instead of {path.name}")
    if path.exists():
        raise FileExistsError(f"{path} exists: name a new file, or delete it")
    model = load_model(name)
    finds_config = _finds_config(path.parent, model)
    inputs = inputs_of(model, task, further)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as work:
        draft = _new_folder(work, "float32") / path.name
        program, outputs = trace(model, inputs, task)
        write_program(program, draft, inputs, list(outputs))
        differences, size_share = None, None
        if check:
            differences = largest_differences(open_exported(draft), model, inputs, task)
            _refuse(differences, path)
        if int8:
            exact, draft = draft, _new_folder(work, "int8") / path.name
            quantize_onnx(exact, draft)
            size_share = _size(draft.parent) / _size(exact.parent)
            if check:
                differences = largest_differences(open_exported(draft), model, inputs, task)
        export = Export(path, {name: axes for name, (axes, _) in inputs.items()}, outputs, differences, size_share)
        _write_record(export, draft.with_name(f"{path.name}.json"), model, task)
        if not finds_config:
            _write_companions(name, model, draft.parent)
        _move_all(draft, path.parent)
    return export


def _finds_config(folder: Path, model: PreTrainedModel) -> bool:
    """Whether the config of the model lies in a folder already; its processor then does too."""
    if not (folder / "config.json").exists():
        return False
    there, wanted = AutoConfig.from_pretrained(folder).to_dict(), model.config.to_dict()
    compared = {*there, *wanted} - {"transformers_version", "dtype", "_name_or_path"}
    other = sorted(key for key in compared if there.get(key) != wanted.get(key))
    if other:
        raise FileExistsError(
            f"{folder / 'config.json'} belongs to another model (it differs in {', '.join(other)}): name a file in "
            "another folder"
        )
    return True


def _new_folder(parent: str, name: str) -> Path:
    folder = Path(parent) / name
    folder.mkdir()
    return folder


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _refuse(differences: Mapping[str, float], path: Path) -> None:
    far = {name: difference for name, difference in differences.items() if not difference <= TOLERANCE}  # NaN is far
    if far:
        raise ValueError(
            f"{path.name} was not written: run by itself it differs from the model by more than {TOLERANCE:g}: "
            + ", ".join(f"{name} by {difference:.3g}" for name, difference in far.items())
        )


def _write_record(export: Export, path: Path, model: PreTrainedModel, task: str | None) -> None:
    record = {
        "architecture": type(model).__name__,
        "task": task,
        "inputs": export.inputs,
        "outputs": export.outputs,
        "longest_text": text_lengths(model)[-1],
        "largest_differences": export.differences,
        "torch": torch.__version__,
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def _write_companions(name: str, model: PreTrainedModel, folder: Path) -> None:
    model.config.save_pretrained(folder)
    if cached_file(name, "processor_config.json", _raise_exceptions_for_missing_entries=False):
        AutoProcessor.from_pretrained(name).save_pretrained(folder)


def _move_all(draft: Path, folder: Path) -> None:
    """Move the draft and what lies beside it into a folder; the draft last, so that it never stands alone."""
    files = sorted(draft.parent.iterdir(), key=lambda file: file == draft)
    taken = [file.name for file in files if (folder / file.name).exists()]
    if taken:
        raise FileExistsError(f"{folder} holds {', '.join(taken)} already: name a file in another folder")
    for file in files:
        os.replace(file, folder / file.name)
