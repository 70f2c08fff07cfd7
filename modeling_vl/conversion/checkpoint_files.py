"""Reading checkpoints and configs of other code bases without running anything they contain."""

from __future__ import annotations

import json
import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

STATE_NAMES = ("model_state_dict", "model", "state_dict")
WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
_EXPONENT = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+\Z")
_STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*')


class _ConfigLoader(yaml.SafeLoader):
    """Reads 1e-12 as a number, as MMF does and YAML 1.2 says; PyYAML takes it for a text."""


_ConfigLoader.add_implicit_resolver("tag:yaml.org,2002:float", _EXPONENT, list("-+.0123456789"))


class UnreadableCheckpoint(ValueError):
    """A file that holds no weights, or cannot be read without running code of its author."""


class Checkpoint(NamedTuple):
    """What a checkpoint file holds.

    Attributes:
        state: Tensors by name.
        place: Where in the file they lay, such as "model_state_dict"; empty for the top level.
        beside: Names of what else the file holds: optimizer, schedule, counters.
    """

    state: dict[str, Tensor]
    place: str
    beside: list[str]


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read the weights of a checkpoint file.

    Pickled files (`.bin`, `.th`, `.pth`, `.ckpt`, `.tar`) are read with torch's `weights_only=True`: tensors and plain
    containers, nothing else. In a training-state file the weights lie under one of `STATE_NAMES`.

    Args:
        path: The file, or a folder with one of `WEIGHT_FILES`.

    Returns:
        The weights and what lay beside them.

    Raises:
        FileNotFoundError: There is no such file.
        UnreadableCheckpoint: The file would run code, is damaged, or holds no weights.
    """
    path = _weight_file(Path(path))
    if path.suffix == ".safetensors":
        try:
            return Checkpoint(load_file(path), "", [])
        except SafetensorError as error:
            raise UnreadableCheckpoint(f"{path} is no readable safetensors file: {error}") from error
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UnreadableCheckpoint(_refusal(path, str(error))) from error
    except (EOFError, RuntimeError, ValueError, UnicodeDecodeError) as error:
        raise UnreadableCheckpoint(f"{path} is no readable PyTorch checkpoint: {error}") from error
    return _find_state(path, content)


def _weight_file(path: Path) -> Path:
    if path.is_dir():
        found = [path / name for name in WEIGHT_FILES if (path / name).is_file()]
        if not found:
            raise FileNotFoundError(f"{path} holds none of {', '.join(WEIGHT_FILES)}; name the checkpoint file itself")
        return found[0]
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    return path


def _refusal(path: Path, error: str) -> str:
    found = re.search(r"GLOBAL ([\w.]+)", error)
    what = f"the object {found[1]}" if found else f"more than tensors ({error.splitlines()[0]})"
    return (
        f"{path} holds {what}. Reading it would run code that came with the file, so it is refused. If you trust "
        "where it comes from, open it once with the code base that wrote it and keep the weights alone: "
        "torch.save(checkpoint['model_state_dict'], 'weights.bin'), or whatever the file calls them. Then convert "
        "that file"
    )


def _find_state(path: Path, content: Any) -> Checkpoint:
    if not isinstance(content, dict):
        raise UnreadableCheckpoint(f"{path} holds a {type(content).__name__}, expected a dictionary of tensors")
    place, beside = [], []
    while (name := next((name for name in STATE_NAMES if isinstance(content.get(name), dict)), None)) is not None:
        place.append(name)
        beside += [str(key) for key in content if key != name]
        content = content[name]
    if not any(isinstance(value, Tensor) for value in content.values()):
        raise UnreadableCheckpoint(
            f"{path} holds no tensors at its top level nor under {', '.join(STATE_NAMES)}; it holds "
            f"{', '.join(sorted(map(str, content))) or 'nothing'}"
        )
    state = {str(name): value for name, value in content.items() if isinstance(value, Tensor)}
    beside += [str(name) for name in content if str(name) not in state]
    return Checkpoint(state, ".".join(place), beside)


def read_config_file(path: str | Path) -> dict[str, Any]:
    """Read a model config: JSON, also with uclanlp's `//` comments, or MMF's YAML.

    Args:
        path: The file, or a folder with a `config.json`.

    Returns:
        The config.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is no JSON or YAML mapping.
    """
    path = Path(path)
    path = path / "config.json" if path.is_dir() else path
    if not path.is_file():
        raise FileNotFoundError(f"there is no config {path}")
    text = path.read_text(encoding="utf-8")
    try:
        if path.suffix in (".yaml", ".yml"):
            config = yaml.load(text, Loader=_ConfigLoader)
        else:
            config = json.loads(
                _STRING_OR_COMMENT.sub(lambda match: match[0] if match[0].startswith('"') else "", text)
            )
    except (json.JSONDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} is no readable config: {error}") from error
    if not isinstance(config, dict):
        raise ValueError(f"{path} holds a {type(config).__name__}, expected a mapping of config fields")
    return config
