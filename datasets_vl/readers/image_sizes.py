"""Tables of image sizes, for formats that store boxes as shares of the image."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any


def read_image_sizes(path: str | os.PathLike[str]) -> dict[str, tuple[int, int]]:
    """Read a table of image sizes.

    Args:
        path: A CSV file with the header `image_id,width,height`, a JSON list of objects with these keys, a JSON object
            `{image_id: [width, height]}`, or JSON Lines of objects.

    Returns:
        Width and height in pixels by image id.

    Raises:
        ValueError: The file is none of these, or names an image twice with two sizes.
    """
    path = Path(path)
    readers = {".csv": _csv_rows, ".json": _json_rows, ".jsonl": _jsonl_rows}
    if path.suffix not in readers:
        raise ValueError(f"{path} should end in {', '.join(readers)}")
    sizes: dict[str, tuple[int, int]] = {}
    for number, row in enumerate(readers[path.suffix](path), start=1):
        try:
            image_id, size = str(row["image_id"]), (int(row["width"]), int(row["height"]))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"{path}, entry {number}: {row!r} lacks whole numbers width and height for an image_id"
            ) from error
        if sizes.setdefault(image_id, size) != size:
            raise ValueError(f"{path}, entry {number}: image {image_id!r} has the sizes {sizes[image_id]} and {size}")
    return sizes


def _csv_rows(path: Path) -> Iterable[Mapping[str, Any]]:
    with open(path, newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _json_rows(path: Path) -> Iterable[Mapping[str, Any]]:
    content = _parse_json(path.read_text(encoding="utf-8"), str(path))
    if isinstance(content, list):
        return content
    if not isinstance(content, dict) or not all(
        isinstance(size, list) and len(size) == 2 for size in content.values()
    ):
        raise ValueError(f"{path} holds neither a list of objects nor an object of [width, height] lists")
    return [{"image_id": key, "width": width, "height": height} for key, (width, height) in content.items()]


def _jsonl_rows(path: Path) -> Iterable[Mapping[str, Any]]:
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                yield _parse_json(line, f"{path}, line {number}")


def _parse_json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON: {error}") from error
