"""Batches as the collator makes them, of random numbers, for both tiny models."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.tiny_models import CLASSES, FEATURES, REGIONS, TEXT, VOCABULARY


def random_batch(examples: int, *, regions: bool, seed: int = 0) -> dict[str, Tensor]:
    """Examples of unequal length with unequal numbers of labels; example 0 has no masked token, 1 no masked region."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator)

    text_lengths = 4 + torch.arange(examples) % (TEXT - 3)
    region_counts = 2 + torch.arange(examples) % (REGIONS - 1)
    batch = {
        "input_ids": torch.randint(1, VOCABULARY, (examples, TEXT), generator=generator),
        "attention_mask": (torch.arange(TEXT) < text_lengths[:, None]).long(),
        "visual_embeds": uniform(examples, REGIONS, FEATURES),
        "visual_locations": uniform(examples, REGIONS, 5),
        "visual_attention_mask": (torch.arange(REGIONS) < region_counts[:, None]).long(),
        "sentence_image_labels": torch.randint(0, 2, (examples,), generator=generator),
    }
    chosen = (uniform(examples, TEXT) < 0.4) & batch["attention_mask"].bool()
    chosen[0] = False
    batch["labels"] = torch.where(chosen, batch["input_ids"], -100)
    if regions:
        chosen = (uniform(examples, REGIONS) < 0.5) & batch["visual_attention_mask"].bool()
        chosen[1], chosen[:, 0] = False, False
        batch["region_labels"] = torch.where(chosen, 1, -100)
        batch["region_class_probs"] = uniform(examples, REGIONS, CLASSES).softmax(-1)
    return batch


def rows(batch: dict[str, Tensor], start: int, stop: int) -> dict[str, Tensor]:
    """The examples `start` to `stop - 1` of a batch."""
    return {name: value[start:stop] for name, value in batch.items()}
