"""Which states of the last layer a head reads; a model need not compute the others."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from .embeddings import insert_task_place


class ReadPlaces(NamedTuple):
    """What a head reads of a model's last states. What is not read may be computed or not.

    Rows are those of the model's outputs: texts, or with `pair_index` pairs, P.

    Attributes:
        text: Places of the text `[P, T]` (task token included), True where the state is read; True for all, False for
            none.
        regions: The same for regions, `[P, R]`.
        pooled: Whether the pooled vectors are read.
    """

    text: Tensor | bool = True
    regions: Tensor | bool = True
    pooled: bool = True


POOLED = ReadPlaces(text=False, regions=False)
"""The pooled vectors alone."""


def places_to_compute(read: Tensor | bool, first: bool, rows: int, length: int, device: torch.device) -> Tensor | bool:
    """Places whose last state is needed.

    Args:
        read: Places that are read `[P, L]`, or True for all and False for none. More columns are not looked at.
            Everything is computed for a mask of any other shape: it is that of labels which their head will refuse.
        first: Whether the first place is needed in any case.
        rows: P.
        length: L.
        device: Where the model lives.

    Returns:
        `[P, L]`, or True for all and False for none.
    """
    if read is True or (read is False and not first):
        return read
    if read is False:
        wanted = torch.zeros(rows, length, dtype=torch.bool, device=device)
    elif read.dim() != 2 or read.shape[0] != rows or read.shape[1] < length:
        return True
    else:
        wanted = read[:, :length].clone()
    if first:
        wanted[:, 0] = True
    return wanted


def with_task_place(read: ReadPlaces) -> ReadPlaces:
    """The same with a place for the task token in the text's mask, which nobody reads."""
    if not isinstance(read.text, Tensor) or read.text.dim() != 2:
        return read
    return read._replace(text=insert_task_place(read.text, torch.zeros_like(read.text[:, :1])))


def join_places(
    text: Tensor | bool, regions: Tensor | bool, text_shape: torch.Size, region_shape: torch.Size, device: torch.device
) -> Tensor | bool:
    """Places of a sequence of text and regions.

    Args:
        text: Places of the text, or True for all and False for none.
        regions: Places of the regions, or True for all and False for none.
        text_shape: `[P, T]`.
        region_shape: `[P, R]`.
        device: Where the model lives.

    Returns:
        `[P, T + R]`, or True for all.
    """
    if text is True and regions is True:
        return True
    parts = [
        torch.full(shape, part, device=device) if isinstance(part, bool) else part
        for part, shape in ((text, text_shape), (regions, region_shape))
    ]
    return torch.cat(parts, dim=1)
