"""From characters of a text to its word pieces."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from transformers.tokenization_utils_base import BatchEncoding

if TYPE_CHECKING:
    from tokenizers import Encoding


def word_piece_places(encoding: BatchEncoding) -> Iterator[TextPlaces]:
    """Where the word pieces of every text of a batch come from.

    Args:
        encoding: Of B texts, from a tokenizer that knows places (any fast one).

    Yields:
        One `TextPlaces` a text.

    Raises:
        ValueError: If the tokenizer does not know the places of its word pieces.
    """
    if not encoding.is_fast:
        raise ValueError(
            "the tokenizer does not tell which characters its word pieces come from, which mentions and phrases need: "
            "take one whose is_fast is true, such as AutoTokenizer gives"
        )
    for text in encoding.encodings:
        yield TextPlaces(text)


class TextPlaces:
    """Which characters the word pieces of one text, or pair of texts, come from.

    Args:
        encoding: Of the text.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._pieces = [
            (sequence, *offsets, place)
            for place, (sequence, offsets) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True))
            if sequence is not None
        ]

    def of_span(self, sequence: int, start: int, end: int) -> list[int]:
        """The places of the word pieces that have a character in a span.

        Args:
            sequence: 0 for the first text, 1 for the second.
            start: First character.
            end: One behind the last character.

        Returns:
            Places in the padded text, ascending; empty when the span was cut off.
        """
        return [
            place
            for which, first, behind, place in self._pieces
            if which == sequence and first < end and behind > start
        ]
