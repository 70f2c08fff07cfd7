"""ViLBERT's encoder: the order in which the layers of two streams run and meet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from configuration_vl.configuration_vilbert import ViLBertConfig

from .layers import CoAttentionLayer, StreamSizes, TransformerLayer
from .streams import Stream


class ViLBertEncoder(nn.Module):
    """Text layers, image layers and the co-attention layers between them.

    Co-attention layer k runs when `text_coattention_ids[k]` text layers and `visual_coattention_ids[k]` image layers
    have run. Before it the text goes first; behind the last one the image does, as in vilbert-multi-task. Only dynamic
    attention, whose gates read the text, can tell.

    Args:
        config: The model's configuration.
    """

    def __init__(self, config: ViLBertConfig) -> None:
        super().__init__()
        self.config = config
        text, regions = StreamSizes.of_text(config), StreamSizes.of_regions(config)
        gate_size = config.hidden_size if config.dynamic_attention else None
        self.text_layers = nn.ModuleList(TransformerLayer(config, text) for _ in range(config.num_hidden_layers))
        self.visual_layers = nn.ModuleList(
            TransformerLayer(config, regions, gate_size) for _ in range(config.visual_num_hidden_layers)
        )
        self.coattention_layers = nn.ModuleList(CoAttentionLayer(config) for _ in config.text_coattention_ids)

    def forward(
        self, text: Stream, regions: Stream, pair_index: Tensor | None = None
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Run all layers; the streams carry states and records along.

        Args:
            text: The text, embedded.
            regions: The regions, embedded.
            pair_index: `[P, 2]` rows of text and image that meet from the first co-attention on, or None when row i
                meets row i.

        Returns:
            Recorded weights of text over regions and of regions over text, one `[B, heads, T, R]` and
            `[B, heads, R, T]` a co-attention layer; empty when not wanted.
        """
        config = self.config
        text_over_regions: list[Tensor] = []
        regions_over_text: list[Tensor] = []
        text_done = visual_done = 0
        for meeting in range(len(self.coattention_layers) + 1):
            meets = meeting < len(self.coattention_layers)
            text_end = config.text_coattention_ids[meeting] if meets else config.num_hidden_layers
            visual_end = config.visual_coattention_ids[meeting] if meets else config.visual_num_hidden_layers
            if meets:
                _run_block(text, self.text_layers, text_done, text_end, config.frozen_text_layers)
            gate = _gate(text, regions) if config.dynamic_attention else None
            _run_block(regions, self.visual_layers, visual_done, visual_end, config.frozen_visual_layers, gate)
            if not meets:
                _run_block(text, self.text_layers, text_done, text_end, config.frozen_text_layers)
            text_done, visual_done = text_end, visual_end
            if meeting == 0 and pair_index is not None:
                text.rearrange(pair_index[:, 0])
                regions.rearrange(pair_index[:, 1])
            if meets and config.use_coattention:
                new_text, new_regions, text_weights, region_weights = self.coattention_layers[meeting](
                    text.states, regions.states, text.looking_at(regions), regions.looking_at(text)
                )
                text.update(new_text)
                regions.update(new_regions)
                if text_weights is not None:
                    text_over_regions.append(text_weights)
                    regions_over_text.append(region_weights)
        return text_over_regions, regions_over_text


def _run_block(
    stream: Stream, layers: Sequence[nn.Module], start: int, end: int, frozen: int, gate: Tensor | None = None
) -> None:
    first_trained = max(start, min(frozen, end))
    if start < first_trained:
        with torch.no_grad():
            stream.run(layers[start:first_trained], gate)
    if first_trained < end:
        stream.run(layers[first_trained:end], gate)


def _gate(text: Stream, regions: Stream) -> Tensor:
    mean = text.layout.mean(text.states)
    images = regions.layout.batch_size
    if mean.shape[0] not in (1, images):
        raise ValueError(
            f"dynamic_attention=True lets each text gate its image from the first layer on: {mean.shape[0]} texts "
            f"cannot be paired with {images} images; give one text, or one text an image"
        )
    return mean.expand(images, -1)
