"""From word pieces and region features to the first hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.configuration_utils import PreTrainedConfig

from .dropout import Dropout
from .packing import Layout
from .shared_table import look_up


def text_positions(input_ids: Tensor) -> Tensor:
    """Positions 0, 1, 2, ... of every text, `[B, T]`."""
    return torch.arange(input_ids.shape[1], device=input_ids.device).expand_as(input_ids)


def insert_task_place(tensor: Tensor, column: Tensor) -> Tensor:
    """Put `column` `[B, 1, ...]` behind the first place of `tensor` `[B, T, ...]`, where the task token stands."""
    return torch.cat((tensor[:, :1], column, tensor[:, 1:]), dim=1)


def remove_task_place(tensor: Tensor) -> Tensor:
    """Undo `insert_task_place`: `tensor` `[B, T + 1, ...]` without the place of the task token."""
    return torch.cat((tensor[:, :1], tensor[:, 2:]), dim=1)


class TextEmbeddings(nn.Module):
    """Word, position and token type embeddings of ViLBERT's text stream, with 12-in-1's task token on request.

    Args:
        config: A `ViLBertConfig`.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(config.vocab_size, config.hidden_size, padding_idx=config.pad_token_id)
        self.position_embeddings = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.token_type_embeddings = nn.Embedding(config.type_vocab_size, config.hidden_size)
        if config.num_task_tokens:
            self.task_embeddings = nn.Embedding(config.num_task_tokens, config.hidden_size)
        self.LayerNorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.dropout = Dropout(config.hidden_dropout_prob)

    def forward(
        self,
        input_ids: Tensor,
        token_type_ids: Tensor | None,
        position_ids: Tensor | None,
        task_ids: Tensor | None,
        layout: Layout,
        word_table: Tensor | None = None,
    ) -> Tensor:
        """Embed.

        Args:
            input_ids: `[B, T]`.
            token_type_ids: `[B, T]`, None for zeros.
            position_ids: `[B, T]`, None for 0, 1, 2, ...
            task_ids: `[B]` or `[B, 1]`; the task token is inserted behind the first word piece, without position and
                type (vilbert-multi-task). None for models without task tokens.
            layout: Layout of the text, task token included.
            word_table: The word table of `shared_table.share_table`, None for the module's own.

        Returns:
            States in the layout's order, `[..., hidden_size]`.
        """
        position_ids = text_positions(input_ids) if position_ids is None else position_ids
        token_type_ids = torch.zeros_like(input_ids) if token_type_ids is None else token_type_ids
        if task_ids is None:
            pieces, positions, types = (layout.pack(ids) for ids in (input_ids, position_ids, token_type_ids))
            states = self._sum(pieces, positions, types, word_table)
        else:
            states = self._sum(input_ids, position_ids, token_type_ids, word_table)
            task = self.task_embeddings(task_ids.view(-1, 1))
            states = layout.pack(insert_task_place(states, task))
        return self.dropout(self.LayerNorm(states))

    def _sum(self, pieces: Tensor, positions: Tensor, types: Tensor, word_table: Tensor | None) -> Tensor:
        words = look_up(self.word_embeddings, pieces, word_table)
        return words + self.position_embeddings(positions) + self.token_type_embeddings(types)


class RegionEmbeddings(nn.Module):
    """Features and box locations of ViLBERT's image stream (ViLBERT paper, section 2.2), with types on request.

    Args:
        config: A `ViLBertConfig`.
    """

    def __init__(self, config: PreTrainedConfig) -> None:
        super().__init__()
        self.feature_projection = nn.Linear(config.visual_embedding_dim, config.visual_hidden_size)
        self.location_projection = nn.Linear(config.visual_location_size, config.visual_hidden_size)
        if config.num_visual_token_types:
            self.token_type_embeddings = nn.Embedding(config.num_visual_token_types, config.visual_hidden_size)
        self.LayerNorm = nn.LayerNorm(config.visual_hidden_size, eps=config.visual_layer_norm_eps)
        self.dropout = Dropout(config.visual_embedding_dropout_prob)

    def forward(
        self, visual_embeds: Tensor, visual_locations: Tensor, visual_token_type_ids: Tensor | None, layout: Layout
    ) -> Tensor:
        """Embed.

        Args:
            visual_embeds: `[B, R, D]`.
            visual_locations: `[B, R, L]`.
            visual_token_type_ids: `[B, R]`, None for zeros; read by models with `num_visual_token_types`.
            layout: Layout of the regions.

        Returns:
            States in the layout's order, `[..., visual_hidden_size]`.
        """
        dtype = self.feature_projection.weight.dtype
        features, locations = layout.pack(visual_embeds).to(dtype), layout.pack(visual_locations).to(dtype)
        states = self.feature_projection(features) + self.location_projection(locations)
        if hasattr(self, "token_type_embeddings"):
            if visual_token_type_ids is None:
                visual_token_type_ids = torch.zeros_like(visual_embeds[..., 0], dtype=torch.long)
            states = states + self.token_type_embeddings(layout.pack(visual_token_type_ids))
        return self.dropout(self.LayerNorm(states))
