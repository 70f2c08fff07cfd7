"""A row of a raw file that cannot be used: where it stands and what is wrong with it."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

OnError = Literal["raise", "skip"]


class RowPlace(NamedTuple):
    """Where a row of a raw source stands.

    Attributes:
        file: The raw file.
        location: Line or key in the file; empty when the file is the row.
    """

    file: str
    location: str

    def __str__(self) -> str:
        return ", ".join(part for part in self if part)


@dataclasses.dataclass(frozen=True)
class BadRow:
    """Where a bad row stands and why it is bad.

    Attributes:
        file: The raw file.
        location: Line or key in the file; empty when the file is the row.
        image_id: The image, as far as it could be read.
        reason: What was expected and what came.
    """

    file: str
    location: str
    image_id: str | None
    reason: str

    @property
    def place(self) -> RowPlace:
        """Where it stands."""
        return RowPlace(self.file, self.location)

    def __str__(self) -> str:
        image = "" if self.image_id is None else f", image {self.image_id!r}"
        return f"{self.place}{image}: {self.reason}"


class BadRowError(ValueError):
    """A bad row met under the policy "raise".

    Args:
        row: Where and why.

    Attributes:
        row: Where and why.
    """

    def __init__(self, row: BadRow) -> None:
        super().__init__(row)
        self.row = row

    def __str__(self) -> str:
        return f"{self.row}; mend the row, or leave bad ones out and list them: on_error='skip' (--on-error skip)"
