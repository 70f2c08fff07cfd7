"""What the originals' loaders and readers computed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from safetensors.numpy import load_file


class LoaderRecord(NamedTuple):
    """Arrays by name (`inputs/...`, `outputs/...`) and the notes of one original data loader."""

    arrays: dict[str, np.ndarray]
    notes: str


@pytest.fixture
def loader_record(golden_fixtures: Path) -> Callable[[str], LoaderRecord]:
    """Reads the record of a code base: beta, mt (vilbert-multi-task) or volta."""

    def read(code_base: str) -> LoaderRecord:
        file = golden_fixtures / f"data_{code_base}.safetensors"
        return LoaderRecord(load_file(file), "\n".join(json.loads(file.with_suffix(".json").read_text())["notes"]))

    return read
