"""Scoring every text against every image, with a retrieval model or the alignment head of a pre-training model."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers.modeling_utils import PreTrainedModel

from .heads import PreTrainingHeads
from .image_text_retrieval import ImageTextRetrievalMixin
from .model_inputs import all_pairs


@torch.no_grad()
def score_pairs(
    model: PreTrainedModel,
    texts: Mapping[str, Tensor],
    images: Mapping[str, Tensor],
    *,
    pairs_per_chunk: int = 256,
    progress: bool = False,
) -> Tensor:
    """How well each of N texts matches each of M images.

    The matrix is computed in chunks of some texts times some images. In ViLBERT the layers before the first
    co-attention run once a text and once an image of the chunk; VisualBERT projects features once an image and then
    reads every pair as a whole.

    Args:
        model: A class for image-text retrieval or for pre-training; runs in evaluation mode on its own device.
        texts: Inputs of the text, `[N, ...]` each: `input_ids`, `attention_mask`, `token_type_ids`, ...
        images: Inputs of the image, `[M, ...]` each: `visual_embeds`, `visual_locations`, `visual_attention_mask`, ...
        pairs_per_chunk: Pairs a forward pass; bounds the memory and does not change the scores.
        progress: Whether to show a progress bar.

    Returns:
        float32 `[N, M]` on the CPU: log-odds of a match, whose sigmoid is the probability; from a retrieval model with
        `retrieval_head` "score" what that head says.

    Raises:
        TypeError: If the model scores no pairs.
        ValueError: If `pairs_per_chunk` is below 1, or there are no texts or no images.
    """
    retrieves = isinstance(model, ImageTextRetrievalMixin)
    if not retrieves and not isinstance(getattr(model, "cls", None), PreTrainingHeads):
        raise TypeError(
            "pairs are scored by the classes for image-text retrieval, or with the alignment head of those for "
            f"pre-training, which {type(model).__name__} has not"
        )
    if pairs_per_chunk < 1:
        raise ValueError(f"pairs_per_chunk must be at least 1, got {pairs_per_chunk}")
    num_texts, num_images = len(texts["input_ids"]), len(images["visual_embeds"])
    if not num_texts or not num_images:
        raise ValueError(f"there is nothing to score: {num_texts} texts and {num_images} images")
    text_rows, image_rows = _chunk_shape(num_texts, num_images, pairs_per_chunk)
    if getattr(model.config, "dynamic_attention", False):
        # The text gates the image layers from the first one on: one text at a time can share them.
        text_rows, image_rows = 1, min(num_images, pairs_per_chunk)
    scores = torch.empty(num_texts, num_images)
    chunks = [(i, j) for i in range(0, num_texts, text_rows) for j in range(0, num_images, image_rows)]
    was_training = model.training
    model.eval()
    try:
        for i, j in tqdm(chunks, desc="scoring pairs", unit="chunk", disable=not progress):
            text = {name: value[i : i + text_rows].to(model.device) for name, value in texts.items()}
            image = {name: value[j : j + image_rows].to(model.device) for name, value in images.items()}
            if retrieves:
                chunk = model(**text, **image).logits.float()
            else:
                shape = len(text["input_ids"]), len(image["visual_embeds"])
                pairs = all_pairs(*shape, model.device)
                logits = model(**text, **image, pair_index=pairs, return_logits=False).seq_relationship_logits.float()
                chunk = (logits[:, 0] - logits[:, 1]).view(shape)
            scores[i : i + text_rows, j : j + image_rows] = chunk.cpu()
    finally:
        model.train(was_training)
    return scores


def _chunk_shape(num_texts: int, num_images: int, pairs: int) -> tuple[int, int]:
    """Texts and images a chunk: as square as possible, so that the most layers are shared."""
    side = max(1, int(pairs**0.5))
    text_rows = min(num_texts, side)
    image_rows = min(num_images, pairs // text_rows)
    return min(num_texts, pairs // image_rows), image_rows
