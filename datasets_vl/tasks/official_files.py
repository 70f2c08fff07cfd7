"""Official annotation files: JSON objects that know where they stand, and say so when something is wrong with them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from .json_stream import stream_entries, stream_list
from .records import InvalidAnnotation


class Annotation:
    """One JSON object of an official file.

    Args:
        file: The file.
        place: Where in the file: a line, a place in a list, a key.
        values: What stands there.

    Attributes:
        file: As given.
        place: As given.
        values: As given.

    Raises:
        InvalidAnnotation: If `values` is no JSON object.
    """

    __slots__ = ("file", "place", "values")

    def __init__(self, file: str | Path, place: str, values: Any) -> None:
        if not isinstance(values, dict):
            raise InvalidAnnotation(file, place, f"expected a JSON object, got {values!r:.80}")
        self.file = file
        self.place = place
        self.values: Mapping[str, Any] = values

    def error(self, reason: str) -> InvalidAnnotation:
        """What to raise when something is wrong here for the `reason`."""
        return InvalidAnnotation(self.file, self.place, reason)

    def get(self, name: str) -> Any:
        """The field `name`; without it, an `InvalidAnnotation`."""
        if name not in self.values:
            raise self.error(f"has no {name}; it has {', '.join(sorted(self.values)) or 'nothing'}")
        return self.values[name]

    def text(self, name: str) -> str:
        """The field `name`, a text that is not empty, without space around it."""
        value = self.get(name)
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{name} must be a text that is not empty, got {value!r:.80}")
        return value.strip()

    def optional_text(self, name: str) -> str | None:
        """The field `name` as by `text`; None where it is missing or null."""
        return None if self.values.get(name) is None else self.text(name)

    def identifier(self, name: str) -> str:
        """The field `name`, a text or a whole number, as text."""
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
            raise self.error(f"{name} must be a text or a whole number, got {value!r:.80}")
        return str(value)

    def items(self, name: str) -> list[Any]:
        """The field `name`, a list."""
        value = self.get(name)
        if not isinstance(value, list):
            raise self.error(f"{name} must be a list, got {value!r:.80}")
        return value

    def number_below(self, name: str, count: int) -> int | None:
        """The field `name`, a whole number from 0 and below `count`; None where it is missing or null."""
        value = self.values.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < count):
            raise self.error(f"{name} must be a whole number from 0 to {count - 1}, got {value!r:.80}")
        return value


def read_json(path: str | Path) -> Any:
    """Reads a JSON file as a whole.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        InvalidAnnotation: If it is not JSON.
    """
    with open(path, encoding="utf-8") as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise InvalidAnnotation(path, "", f"not JSON: {error}") from None


def read_json_lines(path: str | Path) -> Iterator[Annotation]:
    """Reads JSON lines; empty ones are passed over.

    Args:
        path: The file.

    Yields:
        The objects.

    Raises:
        InvalidAnnotation: If a line is no JSON object.
    """
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                try:
                    values = json.loads(line)
                except json.JSONDecodeError as error:
                    raise InvalidAnnotation(path, f"line {number}", f"not JSON: {error}") from None
                yield Annotation(path, f"line {number}", values)


def read_json_list(path: str | Path, key: str) -> Iterator[Annotation]:
    """Reads the list of objects that a JSON file has under a key, one object at a time.

    Args:
        path: A file that holds one JSON object.
        key: Of the list in it.

    Yields:
        The objects of the list.

    Raises:
        InvalidAnnotation: If the file is not JSON, has no such list, or holds something else in it.
    """
    for number, values in enumerate(stream_list(path, key)):
        yield Annotation(path, f"{key}[{number}]", values)


def read_json_entries(path: str | Path) -> Iterator[tuple[str, Annotation]]:
    """Reads a JSON object of objects, one entry at a time.

    Args:
        path: The file.

    Yields:
        The keys with their objects.

    Raises:
        InvalidAnnotation: If the file is not JSON, or an entry is no object.
    """
    for key, values in stream_entries(path):
        yield key, Annotation(path, f"entry {key!r}", values)
