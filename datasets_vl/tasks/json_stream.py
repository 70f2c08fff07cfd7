"""Large JSON files, value by value: the memory needed is that of one value, not of the file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from .records import InvalidAnnotation

_PIECE = 1 << 20
_SPACE = " \t\n\r"
_AFTER_VALUE = frozenset(_SPACE + ",:]}")


def stream_list(path: str | Path, key: str) -> Iterator[Any]:
    """Reads the list that a JSON object has under one of its keys.

    Args:
        path: A file that holds one JSON object.
        key: The key.

    Yields:
        The values of the list.

    Raises:
        InvalidAnnotation: If the file is no JSON object, ends early, or has no list under the key.
    """
    with open(path, encoding="utf-8") as file:
        scanner = _Scanner(file, str(path))
        for name in scanner.members("{", "}"):
            if name != key:
                scanner.value()
                continue
            if scanner.peek() != "[":
                raise InvalidAnnotation(path, key, f"expected a list, got {scanner.value()!r:.80}")
            for _ in scanner.members("[", "]"):
                yield scanner.value()
            return
    raise InvalidAnnotation(path, "", f"the JSON object has no list {key!r}")


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
            while self._place < len(self._text) and self._text[self._place] in _SPACE:
                self._place += 1
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
