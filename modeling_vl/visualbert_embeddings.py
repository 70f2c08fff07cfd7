"""VisualBERT's embeddings: words and regions in one sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig

from .dropout import Dropout
from .embeddings import text_positions
from .packing import Layout
from .shared_table import look_up


class VisualBertEmbeddings(nn.Module):
    """Word and region embeddings under one layer norm (VisualBERT paper, section 3.1).

    A region is its projected feature, a type, and a position: that of the visual table's row 0 and, where regions are
    linked to words, the mean of those words' text positions. Parameter names are transformers'. The single-stream
    baseline of vilbert_beta (`basebert.py`) adds the projected box, and gives regions a layer norm of their own.

    Args:
        config: A `VisualBertConfig`.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.default_visual_type = config.visual_token_type_id
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.visual_token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        self.visual_position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.visual_projection = nn.Linear(config.visual_embedding_dim, config.hidden_size)
        if config.visual_location_size:
            self.visual_location_projection = nn.Linear(config.visual_location_size, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        if config.separate_layer_norms:
            self.visual_LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def text(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        layout: Layout,
        word_table: Tensor | None = None,
    ) -> Tensor:
        """Embed word pieces.

        Args:
            input_ids: `[B, T]`.
            token_type_ids: `[B, T]`, None for zeros.
            position_ids: `[B, T]`, None for 0, 1, 2, ...
            layout: Layout of the text.
            word_table: The word table of `shared_table.share_table`, None for the module's own.

        Returns:
            States in the layout's order, `[..., hidden_size]`.
        """
        position_ids = text_positions(input_ids) if position_ids is None else position_ids
        token_type_ids = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        pieces, positions, types = (layout.pack(ids) for ids in (input_ids, position_ids, token_type_ids))
        words = look_up(self.word_embeddings, pieces, word_table)
        states = words + self.token_type_embeddings(types) + self.position_embeddings(positions)
        return self.dropout(self.LayerNorm(states))

    def project_regions(self, visual_embeds: Tensor, visual_locations: Tensor | None, layout: Layout) -> Tensor:
        """What of a region's embedding is the image's alone, and costs most: features, and boxes where they are read.

        Args:
            visual_embeds: `[B, R, D]`.
            visual_locations: `[B, R, L]`, read by models with `visual_location_size`.
            layout: Layout of the regions.

        Returns:
            Projections in the layout's order, `[..., hidden_size]`.
        """
        dtype = self.visual_projection.weight.dtype
        projected = self.visual_projection(layout.pack(visual_embeds).to(dtype))
        if hasattr(self, "visual_location_projection"):
            projected = projected + self.visual_location_projection(layout.pack(visual_locations).to(dtype))
        return projected

    def regions(
        self,
        projected: Tensor,
        visual_token_type_ids: Tensor | None,
        image_text_alignment: Tensor | None,
        layout: Layout,
    ) -> Tensor:
        """Embed regions.

        Args:
            projected: What `project_regions` returns, in the layout's order.
            visual_token_type_ids: `[B, R]`, None for the config's `visual_token_type_id`.
            image_text_alignment: `[B, R, A]` positions of the word pieces a region is linked to, -1 where there are
                fewer; rows beyond R are cut. None for no links.
            layout: Layout of the regions.

        Returns:
            States in the layout's order, `[..., hidden_size]`.
        """
        # Looked up, not read from the tables' weights: accelerate loads offloaded weights when a module is called.
        row = torch.zeros(1, dtype=torch.long, device=projected.device)
        types = row + self.default_visual_type if visual_token_type_ids is None else layout.pack(visual_token_type_ids)
        types = self.visual_token_type_embeddings(types)
        positions = self.visual_position_embeddings(row)
        if image_text_alignment is not None:
            linked = layout.pack(image_text_alignment[:, : layout.length])
            positions = positions + self._mean_word_position(linked)
        norm = self.visual_LayerNorm if hasattr(self, "visual_LayerNorm") else self.LayerNorm
        return self.dropout(norm(projected + positions + types))

    def _mean_word_position(self, alignment: Tensor) -> Tensor:
        linked = alignment != -1
        positions = self.position_embeddings(alignment.where(linked, 0)) * linked[..., None]
        return positions.sum(-2) / linked.sum(-1, keepdim=True).clamp(min=1)
