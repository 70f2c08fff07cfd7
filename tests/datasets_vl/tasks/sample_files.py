"""The hand-made samples in the official layouts, and copies of them with something broken."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

SAMPLES = Path(__file__).parent / "samples"


def edited_json(source: Path, folder: Path, edit: Callable[[Any], Any]) -> Path:
    """A copy of a JSON file whose content `edit` changed in place."""
    content = json.loads(source.read_text())
    edit(content)
    copy = folder / source.name
    copy.write_text(json.dumps(content))
    return copy


def edited_lines(source: Path, folder: Path, line: int, edit: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of JSON lines, of which `edit` changed one in place."""
    lines = source.read_text().splitlines()
    row = json.loads(lines[line - 1])
    edit(row)
    lines[line - 1] = json.dumps(row)
    copy = folder / source.name
    copy.write_text("\n".join(lines) + "\n")
    return copy
