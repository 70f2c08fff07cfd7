"""Batches of random numbers whose lengths are those of real data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad
from transformers.configuration_utils import PreTrainedConfig

from .bound import Work

Batch = dict[str, Tensor]

TEXT_LENGTHS, REGION_COUNTS = (8, 21), (10, 36)
"""Word pieces of captions and regions of photos at a confidence threshold, shortest and longest."""

TEXT, REGIONS, LOGITS = "text", "regions", "both"
AXES = {
    "input_ids": TEXT,
    "attention_mask": TEXT,
    "labels": TEXT,
    "visual_embeds": REGIONS,
    "visual_locations": REGIONS,
    "visual_attention_mask": REGIONS,
    "region_labels": REGIONS,
    "region_class_probs": REGIONS,
}
FILLS = {"labels": -100, "region_labels": -100}


def draw_lengths(rng: np.random.Generator, count: int, bounds: tuple[int, int]) -> np.ndarray:
    """Draw lengths.

    Args:
        rng: Where randomness comes from.
        count: How many.
        bounds: The shortest and the longest; all between are as likely.

    Returns:
        int `[count]`.
    """
    return rng.integers(bounds[0], bounds[1] + 1, size=count)


def read_batch(config: PreTrainedConfig, text_lengths: np.ndarray, region_counts: np.ndarray, seed: int = 0) -> Batch:
    """Texts and images, padded to the longest.

    Args:
        config: The model's configuration.
        text_lengths: Word pieces of each text, `[N]`.
        region_counts: Regions of each image, `[M]`.
        seed: Of all numbers.

    Returns:
        Inputs of the model.
    """
    generator = torch.Generator().manual_seed(seed)
    text_mask, region_mask = _mask(text_lengths), _mask(region_counts)
    ids = torch.randint(1000, config.vocab_size, text_mask.shape, generator=generator)
    features = torch.randn(*region_mask.shape, config.visual_embedding_dim, generator=generator).relu()
    batch = {
        "input_ids": ids * text_mask,
        "attention_mask": text_mask,
        "visual_embeds": features * region_mask[..., None],
        "visual_attention_mask": region_mask,
    }
    if config.visual_location_size:
        boxes = torch.rand(*region_mask.shape, config.visual_location_size, generator=generator)
        batch["visual_locations"] = boxes * region_mask[..., None]
    return batch


def pretraining_batch(
    config: PreTrainedConfig, text_lengths: np.ndarray, region_counts: np.ndarray, seed: int = 0
) -> Batch:
    """A batch of pre-training with 15 % of words, and of regions where the model predicts them, to predict.

    Args:
        config: The model's configuration.
        text_lengths: Word pieces of each text, `[B]`.
        region_counts: Regions of each image, `[B]`.
        seed: Of all numbers.

    Returns:
        Inputs and labels of the model.
    """
    batch = read_batch(config, text_lengths, region_counts, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    predicted = _draw_predicted(batch["attention_mask"], generator)
    batch["labels"] = batch["input_ids"].where(predicted, -100)
    batch["sentence_image_labels"] = torch.randint(0, 2, (len(text_lengths),), generator=generator)
    if config.region_targets:
        batch["region_labels"] = torch.where(_draw_predicted(batch["visual_attention_mask"], generator), 1, -100)
        logits = torch.randn(*batch["region_labels"].shape, config.num_region_classes, generator=generator)
        batch["region_class_probs"] = logits.softmax(-1)
    return batch


def padded_to(batch: Mapping[str, Tensor], text_length: int, num_regions: int) -> Batch:
    """The same batch with more padding.

    Args:
        batch: Inputs and labels.
        text_length: Places of every text.
        num_regions: Places of every image.

    Returns:
        Inputs and labels.
    """
    wanted = {TEXT: text_length, REGIONS: num_regions}
    return {name: _pad(name, value, wanted) for name, value in batch.items()}


def work_of(batch: Mapping[str, Tensor], pairs: np.ndarray | None = None, **fields: object) -> Work:
    """What a batch asks of a model that reads the first state of text and image, and those of labelled places.

    Args:
        batch: Inputs and labels of a model.
        pairs: Row of text and row of image of each pair; None when row i goes with row i.
        **fields: Other fields of `Work`.

    Returns:
        The work.
    """
    lengths = [batch[name].sum(1).numpy() for name in ("attention_mask", "visual_attention_mask")]
    pairs = np.repeat(np.arange(len(lengths[0]))[:, None], 2, axis=1) if pairs is None else pairs
    read = {}
    for field, name, wanted in (("text_read", "labels", None), ("regions_read", "region_labels", 1)):
        counts = np.ones(len(pairs), dtype=np.int64)
        if name in batch and field not in fields:
            labels = batch[name]
            counts += ((labels != -100) if wanted is None else (labels == wanted)).sum(1).numpy()
        read[field] = counts
    return Work(**{"text_lengths": lengths[0], "region_counts": lengths[1], "pairs": pairs, **read, **fields})


def _mask(lengths: np.ndarray) -> Tensor:
    return (torch.arange(int(lengths.max())) < torch.from_numpy(lengths)[:, None]).long()


def _draw_predicted(mask: Tensor, generator: torch.Generator) -> Tensor:
    predicted = (torch.rand(mask.shape, generator=generator) < 0.15) & mask.bool()
    predicted[:, 0] = False  # [CLS], and the region for the whole image
    predicted[0, 1] = True
    return predicted


def _pad(name: str, value: Tensor, wanted: Mapping[str, int]) -> Tensor:
    if name not in AXES:
        return value
    more = wanted[AXES[name]] - value.shape[1]
    return pad(value, (*[0, 0] * (value.dim() - 2), 0, more), value=FILLS.get(name, 0))
