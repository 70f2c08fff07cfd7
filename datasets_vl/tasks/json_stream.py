"""Large JSON files, value by value: the memory needed is that of one value, not of the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from .records import InvalidAnnotation

_PIECE = 1 << 20
_SPACE = " \t\n\r"
_SPACES = re.compile(f"[{_SPACE}]*")
_AFTER_VALUE = frozenset(_SPACE + ",:]}")


def stream_list(path: str | Path, key: str | None = None) -> Iterator[Any]:
    """Reads the list that a JSON object has under one of its keys, or that a file is.

    Args:
        path: A file that holds one JSON object, or one list.
        key: The key; None where the file is the list.

    Yields:
        The values of the list.

    Raises:
        InvalidAnnotation: If the file is not JSON, or ends early, or the list is not there.
    """
    with open(path, encoding="utf-8") as file:
        scanner = _Scanner(file, str(path))
        if key is None:
            yield from scanner.values("")
            scanner.end()
            return
        for name in scanner.members("{", "}"):
            if name == key:
                yield from scanner.values(key)
                return
            scanner.outline()
    raise InvalidAnnotation(path, "", f"the JSON object has no list {key!r}")


def read_outline(path: str | Path) -> Any:
    """Reads what a JSON file is made of, without what is in its records.

    Args:
        path: A file that holds one JSON value.

    Returns:
        An empty list where the file is a list. Else the value; where it is an object, the objects in its lists are
        empty ones, so that each takes 8 bytes.

    Raises:
        InvalidAnnotation: If the file is not JSON; a list is not looked into.
    """
    with open(path, encoding="utf-8") as file:
        scanner = _Scanner(file, str(path))
        if scanner.peek() == "[":
            return []
        if scanner.peek() != "{":
            return scanner.value()
        outline = {name: scanner.outline() for name in scanner.members("{", "}")}
        scanner.end()
        return outline


def stream_entries(path: str | Path) -> Iterator[tuple[str, Any]]:
    """Reads a JSON object.

    Args:
        path: A file that holds one JSON object.

    Yields:
        Its keys with their values.

    Raises:
        InvalidAnnotation: If the file is no JSON object, or ends early.
    """
    with open(path, encoding="utf-8") as file:
        scanner = _Scanner(file, str(path))
        for name in scanner.members("{", "}"):
            yield name, scanner.value()


class _Scanner:
    """The text of a file, of which a piece is in memory."""

    def __init__(self, file: TextIO, path: str) -> None:
        self._file = file
        self._path = path
        self._text = ""
        self._place = 0
        self._dropped = 0
        self._is_whole = False
        self._decoder = json.JSONDecoder()

    def members(self, opening: str, closing: str) -> Iterator[str | None]:
        """Goes through an object or a list, and stands before each value: the caller takes it.

        Yields:
            The key of the value, None in a list.
        """
        self._take(opening)
        if self.peek() == closing:
            self._take(closing)
            return
        while True:
            name = None
            if opening == "{":
                if self.peek() != '"':
                    raise self._error("expected a key in quotes")
                name = self.value()
                self._take(":")
            yield name
            if self.peek() == closing:
                self._take(closing)
                return
            self._take(",")

    def peek(self) -> str:
        """The next character that is no space, empty at the end of the file."""
        while True:
            self._place = _SPACES.match(self._text, self._place).end()
            if self._place < len(self._text) or self._is_whole:
                return self._text[self._place : self._place + 1]
            self._read_on()

    def value(self) -> Any:
        """Takes the next value."""
        self.peek()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                if self._is_whole:
                    raise self._error(error.msg, error.pos) from None
            else:
                # What looks like a whole number may go on: 0 and .5, 1 and e9.
                if self._is_whole or self._text[end : end + 1] in _AFTER_VALUE:
                    self._place = end
                    return value
            self._read_on()

    def values(self, record: str) -> Iterator[Any]:
        """Takes the values of the list that comes next; the error for anything else names the `record`."""
        if self.peek() != "[":
            raise InvalidAnnotation(self._path, record, f"expected a list, got {self.value()!r:.80}")
        for _ in self.members("[", "]"):
            yield self.value()

    def outline(self) -> Any:
        """Takes the next value; every object in a list comes as the same empty one."""
        if self.peek() != "[":
            return self.value()
        nothing: dict[str, Any] = {}
        return [nothing if isinstance(value, dict) else value for value in self.values("")]

    def end(self) -> None:
        """Refuses what stands behind the value that the file holds."""
        if self.peek():
            raise self._error("expected the end of the file")

    def _take(self, character: str) -> None:
        if self.peek() != character:
            raise self._error(f"expected {character!r}, got {self.peek()!r}")
        self._place += 1

    def _read_on(self) -> None:
        # Twice as much every time, so that a value longer than a piece is not decoded over and over.
        piece = self._file.read(max(_PIECE, len(self._text) - self._place))
        self._is_whole = not piece
        self._dropped += self._place
        self._text = self._text[self._place :] + piece
        self._place = 0

    def _error(self, reason: str, place: int | None = None) -> InvalidAnnotation:
        place = self._place if place is None else place
        ended = "; the file ends here: is it whole?" if self._is_whole and not self._text[place:].strip() else ""
        return InvalidAnnotation(self._path, f"character {self._dropped + place}", f"not JSON: {reason}{ended}")
