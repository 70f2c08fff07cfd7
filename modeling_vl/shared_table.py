"""The word table that embeddings and vocabulary decoder share, with one gradient instead of two."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from .input_checks import builds_graph


class _SharedTable(Function):
    """Hands a table to a lookup and to a decoder, and adds the few rows of the lookup to the decoder's gradient.

    Left to autograd, the lookup's gradient is a second table of zeros with these rows in it (94 MB for BERT's words),
    which is filled and added in full in every step. On a CPU that is a noticeable share of a packed step.
    """

    @staticmethod
    def forward(ctx: Any, table: Tensor) -> tuple[Tensor, Tensor]:
        ctx.set_materialize_grads(False)
        return table.view_as(table), table.view_as(table)

    @staticmethod
    def backward(ctx: Any, of_lookup: Tensor | None, of_decoder: Tensor | None) -> Tensor | None:
        if of_decoder is None:
            return None if of_lookup is None else of_lookup.to_dense()
        if of_lookup is None:
            return of_decoder
        of_lookup = of_lookup.coalesce()  # first the sum of a word's gradients, as without a shared table: bit-equal
        # With gradients on, those of the gradients are wanted (`create_graph`), which a change in place would spoil.
        return of_decoder + of_lookup if torch.is_grad_enabled() else of_decoder.add_(of_lookup)


def share_table(embeddings: nn.Embedding, decoder: nn.Linear) -> tuple[Tensor | None, Tensor | None]:
    """Give both users of a tied table their view of it for one forward pass.

    Args:
        embeddings: The word embeddings.
        decoder: The vocabulary decoder.

    Returns:
        The table for a lookup with sparse gradients, and the table for the decoder; None and None where the modules
        had better use their own: without a tie or a gradient, on an accelerator, in a graph, under `torch.func`, where
        something else stands in their place, such as an adapter, and where somebody hooked them, who wants to see them
        called.
    """
    if type(embeddings) is not nn.Embedding or type(decoder) is not nn.Linear or builds_graph():
        return None, None
    if _is_hooked(embeddings) or _is_hooked(decoder):
        return None, None
    table = embeddings.weight
    if decoder.weight is not table or not table.requires_grad or table.device.type != "cpu":
        return None, None
    if not isinstance(table, nn.Parameter):  # but what `torch.func` puts in its place
        return None, None
    return _SharedTable.apply(table)


def _is_hooked(module: nn.Module) -> bool:
    return any(
        (
            module._forward_pre_hooks,
            module._forward_hooks,
            module._backward_pre_hooks,
            module._backward_hooks,
            "forward" in vars(module),  # how accelerate hooks a module
        )
    )


def look_up(embeddings: nn.Embedding, ids: Tensor, table: Tensor | None) -> Tensor:
    """Rows of an embedding table.

    Args:
        embeddings: The embeddings.
        ids: `[...]`.
        table: The table of `share_table`, or None for that of `embeddings`.

    Returns:
        `[..., width]`.
    """
    if table is None:
        return embeddings(ids)
    return nn.functional.embedding(ids, table, embeddings.padding_idx, sparse=True)
