"""Which regions the words of a caption look at, computed from a model's attention weights and drawn on the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedModel

from processing_vl import RegionFeatures, RegionTextProcessor

_COLOUR = "#e6007e"


@torch.no_grad()
def attention_of_words(
    model: PreTrainedModel, processor: RegionTextProcessor, caption: str, regions: RegionFeatures
) -> tuple[list[str], np.ndarray]:
    """Share of a caption's attention to the image that goes to each detected region.

    Weights are averaged over heads and layers (ViLBERT: text over regions in its co-attention layers; VisualBERT: text
    over regions in all layers); a region added for the whole image is left out and the rest sums to one for each
    token.

    Args:
        model: A ViLBERT or VisualBERT in evaluation mode.
        processor: Its processor.
        caption: The text.
        regions: The image.

    Returns:
        The T word pieces, special tokens included, and the shares `[T, R]`.
    """
    inputs = processor(text=caption, regions=regions)
    outputs = model(**inputs, output_attentions=True)
    text_length = inputs["input_ids"].shape[1]
    if "text_attends_visual" in outputs:
        weights = torch.stack(outputs.text_attends_visual).mean((0, 2))[0]
    else:
        weights = torch.stack(outputs.attentions).mean((0, 2))[0, :text_length, text_length:]
    if processor.feature_extractor.adds_global_region(regions):
        place = processor.feature_extractor.global_place(regions)
        weights = torch.cat((weights[:, :place], weights[:, place + 1 :]), dim=1)
    shares = weights / weights.sum(1, keepdim=True)
    return processor.tokenizer.convert_ids_to_tokens(inputs["input_ids"][0]), shares.numpy()


def draw_attention(
    path: Path,
    pixels: np.ndarray,
    boxes: np.ndarray,
    caption: str,
    words: Sequence[str],
    shares: Mapping[str, np.ndarray],
) -> None:
    """Draw one row a model and one column a word; the stronger a box, the more the word looks at it.

    Args:
        path: PNG file to write.
        pixels: The picture, uint8 `[H, W, 3]`.
        boxes: Corners of the regions in pixels, `[R, 4]`.
        caption: The text the words are from.
        words: W words, one a column.
        shares: Attention of the words to the regions, `[W, R]`, by model name.
    """
    # Only pictures need matplotlib (`pip install "modeling-vl[demo]"`), and training must not.
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(3.2 * len(words), 3.2 * len(shares) + 0.6), layout="tight")
    axes = figure.subplots(len(shares), len(words), squeeze=False)
    figure.suptitle(f"“{caption}”", fontsize=13)
    for row, (name, weights) in zip(axes, shares.items(), strict=True):
        for axis, word, word_weights in zip(row, words, weights, strict=True):
            axis.imshow(pixels)
            axis.set_title(f"{name}: {word}", fontsize=11)
            axis.axis("off")
            strongest = word_weights.max()
            for (x1, y1, x2, y2), weight in zip(boxes, word_weights, strict=True):
                alpha = float(weight / strongest)
                axis.add_patch(
                    Rectangle(
                        (x1, y1),
                        x2 - x1,
                        y2 - y1,
                        fill=False,
                        edgecolor=_COLOUR,
                        linewidth=0.5 + 3 * alpha,
                        alpha=alpha,
                    )
                )
                if weight > 0.5 * strongest:
                    axis.text(x1, y1 - 1, f"{weight:.0%}", color=_COLOUR, fontsize=9, va="bottom")
    figure.savefig(path, dpi=120)
