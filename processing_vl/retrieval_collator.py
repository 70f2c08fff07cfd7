"""Texts and images to be scored against each other become batches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor

from .processing_regions import RegionTextProcessor
from .region_features import RegionFeatures

# Draws made for other purposes start from the same key with another last number.
_NOISE_STREAM = 3


class RetrievalExample(TypedDict):
    """A text and its image, and what they shall be told from.

    Attributes:
        texts: The text, then false ones.
        images: The image, then false ones.
        candidates: Pairs (text number, image number) of this example, the right one first. Empty where the other
            examples of the batch are the false candidates.
        rng_key: Seed, epoch and row: what is drawn for the example is drawn from it.
    """

    texts: list[str]
    images: list[RegionFeatures]
    candidates: list[tuple[int, int]]
    rng_key: tuple[int, int, int]


class RetrievalCollator:
    """Pads the texts and the distinct images of a batch, and says which belong together.

    Few photos are learnt by heart soon. Against that, `feature_dropout` hides a part of every region's feature and
    `token_dropout` a part of the words, anew every time an example comes.

    Args:
        processor: Encodes texts and regions.
        max_text_length: Word pieces a text keeps, special tokens included.
        feature_dropout: Share of the numbers of a feature that are set to 0; the others grow, so that sums stay.
        token_dropout: Share of the word pieces that become the mask token; special tokens never do.

    Raises:
        ValueError: A share is not in [0, 1), `max_text_length` is impossible, or there is no mask token.
    """

    def __init__(
        self,
        processor: RegionTextProcessor,
        *,
        max_text_length: int = 36,
        feature_dropout: float = 0.0,
        token_dropout: float = 0.0,
    ) -> None:
        processor.check_text_length(max_text_length)
        for name, share in (("feature_dropout", feature_dropout), ("token_dropout", token_dropout)):
            if not 0 <= share < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {share}")
        if token_dropout and processor.tokenizer.mask_token_id is None:
            raise ValueError(f"token_dropout={token_dropout}, but the tokenizer has no mask token")
        self.processor = processor
        self.max_text_length = max_text_length
        self.feature_dropout = feature_dropout
        self.token_dropout = token_dropout

    def __call__(self, examples: Sequence[RetrievalExample]) -> dict[str, Tensor]:
        """Collate a batch.

        Args:
            examples: B examples, all with equally many candidates or all with none.

        Returns:
            `input_ids`, `attention_mask`, `token_type_ids` int64 `[N, T]` of all texts, `visual_embeds` float32
            `[M, R, D]`, `visual_locations` float32 `[M, R, L]`, `visual_attention_mask` int64 `[M, R]` of all distinct
            images. Without candidates `owners` int64 `[N]`, the image row of each text; with them `pair_index` int64
            `[B, C, 2]` of (text row, image row) and `labels` int64 `[B]`, which are 0.

        Raises:
            InvalidRegionFeatures: An image's features have not the model's size.
            ValueError: There are no examples, or their numbers of candidates differ.
        """
        if not examples:
            raise ValueError("there are no examples to collate")
        counts = {len(example["candidates"]) for example in examples}
        if len(counts) > 1:
            raise ValueError(f"the examples of a batch need equally many candidates, got {sorted(counts)}")
        extractor = self.processor.feature_extractor
        images: dict[str, RegionFeatures] = {}
        for example in examples:
            images |= {image.image_id: image for image in example["images"] if image.image_id not in images}
        rows = {image_id: row for row, image_id in enumerate(images)}
        texts = [text for example in examples for text in example["texts"]]
        encoding = self.processor.encode_texts(texts, max_length=self.max_text_length)
        batch = {name: torch.from_numpy(value) for name, value in encoding.items()}
        batch |= extractor.encode([extractor.limit(image) for image in images.values()])
        self._hide(batch, examples, rows)
        first_texts = np.cumsum([0, *(len(example["texts"]) for example in examples)])
        if not any(counts):
            owners = [rows[example["images"][0].image_id] for example in examples for _ in example["texts"]]
            return batch | {"owners": torch.tensor(owners)}
        pairs = [
            [(first + text, rows[example["images"][image].image_id]) for text, image in example["candidates"]]
            for first, example in zip(first_texts.tolist(), examples, strict=False)
        ]
        return batch | {"pair_index": torch.tensor(pairs), "labels": torch.zeros(len(examples), dtype=torch.long)}

    def _hide(self, batch: dict[str, Tensor], examples: Sequence[RetrievalExample], rows: dict[str, int]) -> None:
        """Drop parts of features and texts, in place; every draw is that of the example that brought them."""
        text, drawn = 0, set()
        special = torch.tensor(self.processor.tokenizer.all_special_ids)
        for example in examples:
            key = np.random.SeedSequence([*example["rng_key"], _NOISE_STREAM])
            generator = np.random.Generator(np.random.Philox(key))
            if self.token_dropout:
                pieces = batch["input_ids"][text : text + len(example["texts"])]
                hidden = torch.from_numpy(generator.random(pieces.shape) < self.token_dropout)
                pieces[hidden & ~torch.isin(pieces, special)] = self.processor.tokenizer.mask_token_id
            text += len(example["texts"])
            for image in example["images"]:
                if not self.feature_dropout or image.image_id in drawn:
                    continue
                drawn.add(image.image_id)
                features = batch["visual_embeds"][rows[image.image_id]]
                kept = torch.from_numpy(generator.random(features.shape, dtype=np.float32) >= self.feature_dropout)
                features.mul_(kept / (1 - self.feature_dropout))
