"""How the tokens of a batch lie in memory: padded rectangles, or packed without padding.

Token-wise work (embeddings, projections, feed-forward, layer norms) runs on whatever a layout's `pack` returns;
attention runs on `to_rows`, where the tokens of one example stand next to each other. For a `PaddedLayout` all of
these are the identity, so a layer is written once for both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from .input_checks import builds_graph


def take_rows(tensor: Tensor | None, rows: Tensor | None) -> Tensor | None:
    """The examples `rows` `[P]` of `tensor` `[B, ...]`, all of them for None; no tensor where there is none."""
    return tensor if tensor is None or rows is None else tensor[rows]


class PaddedLayout:
    """Tokens in a padded rectangle `[B, L, ...]`; nothing is moved.

    Args:
        mask: `[B, L]`, 1 for real tokens, 0 for padding; None when nothing is padded.
        batch_size: B.
        length: L.
    """

    def __init__(self, mask: Tensor | None, batch_size: int, length: int) -> None:
        self.mask = mask
        self.batch_size = batch_size
        self.length = length

    @property
    def row_length(self) -> int:
        """Length of the rows that attention sees."""
        return self.length

    @property
    def key_mask(self) -> Tensor | None:
        """Mask of the rows that attention sees, `[B, row_length]`."""
        return self.mask

    def pack(self, padded: Tensor) -> Tensor:
        """Padded `[B, L, ...]` to this layout's token order."""
        return padded

    def unpack(self, tokens: Tensor) -> Tensor:
        """This layout's token order to padded `[B, L, ...]`."""
        return tokens

    def to_rows(self, tokens: Tensor) -> Tensor:
        """Token order to attention rows `[B, row_length, ...]`."""
        return tokens

    def from_rows(self, rows: Tensor) -> Tensor:
        """Attention rows `[B, row_length, ...]` to token order."""
        return rows

    def unpack_rows(self, rows: Tensor, dim: int) -> Tensor:
        """Spread dimension `dim` of `rows` `[B, ...]` from row places to padded places: nothing to do."""
        return rows

    def numbers(self, device: torch.device) -> Tensor:
        """For every place the number of its token, `[B, L]`."""
        return torch.arange(self.batch_size * self.length, device=device).view(self.batch_size, self.length)

    def select(self, wanted: Tensor) -> PackedLayout:
        """How the tokens at the places `wanted` `[B, L]` lie alone."""
        return PackedLayout(wanted)

    def per_token(self, per_example: Tensor) -> Tensor:
        """One vector an example, `[B, D]`, to a factor for each of its tokens in token order."""
        return per_example[:, None]

    def mean(self, tokens: Tensor) -> Tensor:
        """Mean of each example's real tokens, `[B, D]`."""
        if self.mask is None:
            return tokens.mean(1)
        weights = self.mask.to(tokens.dtype)
        return (tokens * weights[..., None]).sum(1) / weights.sum(1, keepdim=True).clamp(min=1)


class PackedLayout:
    """Real tokens only, one after the other: `[N, ...]` with N the number of ones in the mask.

    Args:
        mask: `[B, L]`, 1 for real tokens, 0 for padding.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask
        self.batch_size, self.length = mask.shape
        real = mask.bool()
        lengths = real.sum(1)
        self.row_length = int(lengths.max())
        self.padded_index = real.flatten().nonzero().squeeze(1)
        self.example_index = self.padded_index.div(self.length, rounding_mode="floor")
        place_in_row = (real.cumsum(1) - 1).flatten()[self.padded_index]
        self.row_index = self.example_index * self.row_length + place_in_row
        self.key_mask = torch.arange(self.row_length, device=mask.device) < lengths[:, None]
        self.cu_seq_lens = torch.nn.functional.pad(lengths.cumsum(0), (1, 0)).to(torch.int32)

    def pack(self, padded: Tensor) -> Tensor:
        """Padded `[B, L, ...]` to `[N, ...]`."""
        return padded.flatten(0, 1).index_select(0, self.padded_index)

    def unpack(self, tokens: Tensor) -> Tensor:
        """`[N, ...]` to padded `[B, L, ...]`, zero at padding."""
        return self._scatter(tokens, self.padded_index, self.length)

    def to_rows(self, tokens: Tensor) -> Tensor:
        """`[N, ...]` to `[B, row_length, ...]`, each example's tokens moved to the front of its row."""
        if len(tokens) == self.batch_size * self.row_length:
            return tokens.unflatten(0, (self.batch_size, self.row_length))
        return self._scatter(tokens, self.row_index, self.row_length)

    def from_rows(self, rows: Tensor) -> Tensor:
        """`[B, row_length, ...]` to `[N, ...]`."""
        return rows.flatten(0, 1).index_select(0, self.row_index)

    def unpack_rows(self, rows: Tensor, dim: int) -> Tensor:
        """Spread dimension `dim` of `rows` `[B, ...]` from row places to padded places, zero at padding."""
        return self.unpack(self.from_rows(rows.movedim(dim, 1))).movedim(1, dim)

    def numbers(self, device: torch.device) -> Tensor:
        """For every place the number of its token, `[B, L]`; 0 at padding."""
        return self.unpack(torch.arange(len(self.padded_index), device=device))

    def select(self, wanted: Tensor) -> PackedLayout:
        """How the real tokens at the places `wanted` `[B, L]` lie alone."""
        return PackedLayout(wanted & self.mask.bool())

    def per_token(self, per_example: Tensor) -> Tensor:
        """One vector an example, `[B, D]`, to a factor for each of its tokens, `[N, D]`."""
        return per_example.index_select(0, self.example_index)

    def mean(self, tokens: Tensor) -> Tensor:
        """Mean of each example's tokens, `[B, D]`."""
        total = tokens.new_zeros(self.batch_size, tokens.shape[-1]).index_add(0, self.example_index, tokens)
        return total / self.key_mask.sum(1, keepdim=True).to(tokens.dtype)

    def _scatter(self, tokens: Tensor, index: Tensor, length: int) -> Tensor:
        flat = tokens.new_zeros(self.batch_size * length, *tokens.shape[1:])
        return flat.index_copy(0, index, tokens).unflatten(0, (self.batch_size, length))


Layout = PaddedLayout | PackedLayout


class View(NamedTuple):
    """The tokens of a stream that take part in an attention: all, those that are read behind it, or repeated ones.

    Attributes:
        layout: How they lie.
        source: For each of them, in the layout's order, its number among the stream's tokens; None for all tokens as
            the stream has them.
    """

    layout: Layout
    source: Tensor | None = None

    def take(self, tokens: Tensor) -> Tensor:
        """The view's tokens among the stream's `[..., D]`."""
        if self.source is None:
            return tokens
        flat = tokens.flatten(0, -2)
        return flat.index_select(0, self.source.flatten()).unflatten(0, self.source.shape)

    def project(self, projection: Callable[[Tensor], Tensor], tokens: Tensor) -> Tensor:
        """Apply a token-wise layer and take the view's tokens, in the order that has less to project.

        A compiled graph takes first: which is less would make it depend on the number of tokens.

        Args:
            projection: The layer.
            tokens: The stream's tokens, `[..., D]`.

        Returns:
            The view's tokens, projected.
        """
        if self.source is None or builds_graph() or self.source.numel() <= tokens.shape[:-1].numel():
            return projection(self.take(tokens))
        return self.take(projection(tokens))

    def narrowed(self, wanted: Tensor) -> View:
        """The view's tokens at the places `wanted` `[B, L]` alone."""
        numbers = self.layout.pack(wanted).flatten().nonzero().squeeze(1)
        return View(self.layout.select(wanted), numbers if self.source is None else self.source.flatten()[numbers])

    def rearranged(self, rows: Tensor, layout: Layout) -> View:
        """The tokens of the examples `rows` `[P]`, which lie as `layout` says."""
        return View(layout, layout.pack(self.layout.numbers(rows.device)[rows]))


def unpack_attention(weights: Tensor, queries: Layout, keys: Layout) -> Tensor:
    """Attention weights between row places to weights between padded places.

    Args:
        weights: `[B, heads, row_length of queries, row_length of keys]`.
        queries: Layout of the looking tokens.
        keys: Layout of the tokens looked at.

    Returns:
        `[B, heads, L_queries, L_keys]`, zero where either side is padding.
    """
    return keys.unpack_rows(queries.unpack_rows(weights, 2), 3)


def choose_layout(
    mask: Tensor | None, batch_size: int, length: int, pack: bool, pooled_places: tuple[int, ...] = (0,)
) -> Layout:
    """Pack a stream when that saves work and gives the same numbers.

    A batch that masks a place which a pooler reads stays padded: the pooler reads that place whatever the mask says.

    Args:
        mask: `[B, L]` or None when nothing is padded.
        batch_size: B.
        length: L.
        pack: Whether packing is wanted; export and compilation need shapes that do not depend on values.
        pooled_places: Places that poolers read.

    Returns:
        The layout.
    """
    if not pack or mask is None or builds_graph():
        return PaddedLayout(mask, batch_size, length)
    real = mask.bool()
    if bool(real.all()) or not bool(real[:, pooled_places].all()):
        return PaddedLayout(mask, batch_size, length)
    return PackedLayout(mask)


def choose_flash_layout(
    mask: Tensor | None, batch_size: int, length: int, device: torch.device, pooled_places: tuple[int, ...] = (0,)
) -> PackedLayout:
    """The layout of flash attention, which takes sequences end to end and never a padding mask.

    Args:
        mask: `[B, L]` or None when nothing is padded.
        batch_size: B.
        length: L.
        device: Where the stream lives.
        pooled_places: Places that poolers read.

    Returns:
        A packed layout, also when nothing is padded.

    Raises:
        ValueError: When an example masks a place that a pooler reads.
    """
    if mask is None:
        mask = torch.ones(batch_size, length, dtype=torch.bool, device=device)
    masked = (~mask[:, pooled_places].bool()).any(1).nonzero().flatten().tolist()
    if masked:
        raise ValueError(
            f"rows {masked} of the batch mask one of the places {list(pooled_places)}; flash attention drops masked "
            "places, but a pooler reads these. Unmask them (texts and regions are padded on the right) or use "
            "attn_implementation='sdpa'"
        )
    return PackedLayout(mask)
