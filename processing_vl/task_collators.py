"""Task examples become batches: texts, images and the labels of each kind of task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers.tokenization_utils_base import BatchEncoding

from .processing_regions import RegionTextProcessor
from .region_features import RegionFeatures
from .task_example import TaskExample
from .text_spans import word_piece_places

BOOKKEEPING = ("index", "region_boxes", "is_proposal")
"""Entries of a batch that no model reads: the number of the example in the table, and which boxes may be chosen."""


def without_bookkeeping(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What the model reads of a `batch`."""
    return {name: value for name, value in batch.items() if name not in BOOKKEEPING}


class TaskCollator(ABC):
    """Pads texts and images of any task; each kind of task adds its labels.

    Labels are left out when no example of the batch knows its answer (a test split), and refused when only some do.

    Args:
        processor: Encodes texts and regions.
        max_text_length: Word pieces a text keeps with its second text, special tokens included.
        task_token: Row of ViLBERT's task token table (12-in-1); None for models without.

    Raises:
        ValueError: `max_text_length` is impossible.
    """

    has_choices = False

    def __init__(
        self, processor: RegionTextProcessor, *, max_text_length: int = 128, task_token: int | None = None
    ) -> None:
        processor.check_text_length(max_text_length)
        self.processor = processor
        self.max_text_length = max_text_length
        self.task_token = task_token

    def __call__(self, examples: Sequence[TaskExample]) -> dict[str, Tensor]:
        """Collate a batch.

        Args:
            examples: B examples of one kind, with equal numbers of texts and of images.

        Returns:
            `input_ids`, `attention_mask`, `token_type_ids` int64 `[B, T]`, or `[B, C, T]` where an example has C
            choices; `visual_embeds` float32 `[B, R, D]`, `visual_locations` float32 `[B, R, L]` and
            `visual_attention_mask` int64 `[B, R]`, or `[B, 2, R, ...]` with two images; with mentions
            `image_text_alignment` int64 `[B, R, A]` or `[B, C, R, A]`, the word pieces that name a region, -1 as
            padding; with a task token `task_ids` int64 `[B]`; the labels of the kind; and `index` int64 `[B]`.

        Raises:
            InvalidRegionFeatures: An image's features have not the model's size.
            ValueError: There are no examples, or they do not fit together; the message names the example.
        """
        if not examples:
            raise ValueError("there are no examples to collate")
        num_texts = _common(examples, "texts", [len(example["texts"]) for example in examples])
        if num_texts > 1 and not self.has_choices:
            raise ValueError(
                f"example {examples[0]['example_id']!r} has {num_texts} texts, {type(self).__name__} reads one"
            )
        extractor = self.processor.feature_extractor
        images = [[extractor.limit(image) for image in example["images"]] for example in examples]
        encoding = self._encode_texts(examples)
        batch = {name: torch.from_numpy(value) for name, value in encoding.items()}
        if self.has_choices:
            batch = {name: value.unflatten(0, (len(examples), num_texts)) for name, value in batch.items()}
        batch |= self._encode_images(examples, images)
        if any(example.get("mentions") for example in examples):
            batch["image_text_alignment"] = self._alignment(examples, [first for first, *_ in images], encoding)
        if self.task_token is not None:
            batch["task_ids"] = torch.full((len(examples),), self.task_token)
        batch |= self.targets(examples, [first for first, *_ in images], encoding)
        return batch | {"index": torch.tensor([example["index"] for example in examples])}

    @abstractmethod
    def targets(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> dict[str, Tensor]:
        """The labels of a batch, and what else the kind of task needs.

        Args:
            examples: The examples.
            images: Their first images, already limited to the regions that are kept.
            encoding: Their texts, numpy `[B * C, T]`.

        Returns:
            Tensors by name.
        """

    def _encode_texts(self, examples: Sequence[TaskExample]) -> BatchEncoding:
        texts = [text for example in examples for text in example["texts"]]
        pairs = [example.get("text_pairs") for example in examples]
        for example, pair in zip(examples, pairs, strict=True):
            if (pair is None) != (pairs[0] is None) or (pair is not None and len(pair) != len(example["texts"])):
                has = "no" if pair is None else len(pair)
                raise ValueError(
                    f"example {example['example_id']!r} has {has} second texts for {len(example['texts'])} texts: all "
                    "examples of a batch need as many as texts, or none"
                )
        flat = None if pairs[0] is None else [text for pair in pairs for text in pair]
        return self.processor.encode_texts(texts, flat, max_length=self.max_text_length)

    def _encode_images(
        self, examples: Sequence[TaskExample], images: Sequence[Sequence[RegionFeatures]]
    ) -> dict[str, Tensor]:
        count = _common(examples, "images", [len(of_example) for of_example in images])
        encoded = self.processor.feature_extractor.encode([image for of_example in images for image in of_example])
        if count == 1:
            return encoded
        return {name: value.unflatten(0, (len(images), count)) for name, value in encoded.items()}

    def _alignment(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> Tensor:
        places = word_piece_places(encoding)
        aligned: list[list[list[list[int]]]] = []  # of every example, region and text the word pieces
        for example, image in zip(examples, images, strict=True):
            of_regions = [[[] for _ in example["texts"]] for _ in range(image.num_regions)]
            mentions = example.get("mentions") or [[] for _ in example["texts"]]
            if len(mentions) != len(example["texts"]):
                raise ValueError(
                    f"example {example['example_id']!r} has mentions for {len(mentions)} of "
                    f"{len(example['texts'])} texts"
                )
            for text, of_text in enumerate(mentions):
                text_places = next(places)
                for sequence, start, end, regions in of_text:
                    pieces = text_places.of_span(sequence, start, end)
                    for region in regions:
                        if region < image.num_regions:  # one that was cut off is named by nothing
                            of_regions[region][text] += pieces
            aligned.append(of_regions)
        width = max([1, *(len(pieces) for of_regions in aligned for texts in of_regions for pieces in texts)])
        values = [
            np.array([[pieces + [-1] * (width - len(pieces)) for pieces in texts] for texts in of_regions])
            for of_regions in aligned
        ]
        padded = self.processor.feature_extractor.pad(values, images, fill=-1).transpose(1, 2)
        return padded if self.has_choices else padded.squeeze(1)

    def proposals(self, images: Sequence[RegionFeatures]) -> dict[str, Tensor]:
        """The boxes that words may be found in.

        Args:
            images: B images, already limited.

        Returns:
            `region_boxes` float32 `[B, R, 4]`, corners in pixels, and `is_proposal` bool `[B, R]`: False for padding
            and for an added region that stands for the whole image.
        """
        pad = self.processor.feature_extractor.pad
        return {
            "region_boxes": pad([image.boxes for image in images], images),
            "is_proposal": pad([np.ones(image.num_regions, dtype=bool) for image in images], images),
        }


class ClassificationCollator(TaskCollator):
    """Adds `labels` int64 `[B]`.

    Args:
        processor: See `TaskCollator`.
        num_labels: Number of classes.
        **settings: See `TaskCollator`.
    """

    def __init__(self, processor: RegionTextProcessor, *, num_labels: int, **settings: Any) -> None:
        super().__init__(processor, **settings)
        self.num_labels = num_labels

    def targets(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> dict[str, Tensor]:
        """See `TaskCollator.targets`."""
        return _class_labels(examples, self.num_labels)


class QuestionAnsweringCollator(ClassificationCollator):
    """Adds `labels`: soft scores float32 `[B, num_labels]` where the examples have scores, else int64 `[B]`.

    Args:
        processor: See `TaskCollator`.
        num_labels: Answers that the model knows.
        **settings: See `TaskCollator`.
    """

    def targets(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> dict[str, Tensor]:
        """See `TaskCollator.targets`."""
        scores = _known(examples, "scores")
        if scores is None:
            return super().targets(examples, images, encoding)
        labels = torch.zeros(len(examples), self.num_labels)
        for row, (example, of_answers) in enumerate(zip(examples, scores, strict=True)):
            for answer, score in of_answers.items():
                _check_label(example, answer, self.num_labels)
                labels[row, answer] = score
        return {"labels": labels}


class MultipleChoiceCollator(TaskCollator):
    """Adds `labels` int64 `[B]`: the right one of the C choices."""

    has_choices = True

    def targets(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> dict[str, Tensor]:
        """See `TaskCollator.targets`."""
        return _class_labels(examples, len(examples[0]["texts"]))


class RegionGroundingCollator(TaskCollator):
    """Adds the `proposals` and `labels` float32 `[B, R]`: how much each region is the one meant."""

    def targets(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> dict[str, Tensor]:
        """See `TaskCollator.targets`."""
        batch = self.proposals(images)
        scores = _known(examples, "region_scores")
        if scores is not None:
            kept = [
                np.asarray(of_image[: image.num_regions], dtype=np.float32)
                for of_image, image in zip(scores, images, strict=True)
            ]
            batch["labels"] = self.processor.feature_extractor.pad(kept, images)
        return batch


class PhraseGroundingCollator(TaskCollator):
    """Adds the `proposals`, `phrase_positions` and `labels`.

    `phrase_positions` int64 `[B, P]` are the places of the phrases' last word pieces, -1 for padding and for a phrase
    that was cut off; `labels` float32 `[B, P, R]` are distributions over the regions, zeros where no region fits.
    """

    def targets(
        self, examples: Sequence[TaskExample], images: Sequence[RegionFeatures], encoding: BatchEncoding
    ) -> dict[str, Tensor]:
        """See `TaskCollator.targets`."""
        width = max(1, *(len(example["phrases"]) for example in examples))
        positions = torch.full((len(examples), width), -1)
        for row, (example, places) in enumerate(zip(examples, word_piece_places(encoding), strict=True)):
            for number, (start, end) in enumerate(example["phrases"]):
                positions[row, number] = max(places.of_span(0, start, end), default=-1)
        batch = self.proposals(images) | {"phrase_positions": positions}
        targets = _known(examples, "phrase_targets")
        if targets is not None:
            by_region = [
                np.pad(_renormalised(of_image[:, : image.num_regions]), ((0, width - len(of_image)), (0, 0))).T
                for of_image, image in zip(targets, images, strict=True)
            ]
            batch["labels"] = self.processor.feature_extractor.pad(by_region, images).transpose(1, 2)
        return batch


def _common(examples: Sequence[TaskExample], what: str, counts: Sequence[int]) -> int:
    for example, count in zip(examples, counts, strict=True):
        if count != counts[0] or count == 0:
            raise ValueError(
                f"example {example['example_id']!r} has {count} {what}, example {examples[0]['example_id']!r} of the "
                f"same batch {counts[0]}: all need equally many, at least one"
            )
    return counts[0]


def _known(examples: Sequence[TaskExample], field: str) -> list[Any] | None:
    """The field of all examples; None when none of them has it."""
    values = [example.get(field) for example in examples]
    missing = [value is None for value in values]
    if all(missing):
        return None
    if any(missing):
        raise ValueError(
            f"example {examples[missing.index(True)]['example_id']!r} has no {field}, others of its batch have: a "
            "split is labelled as a whole or not at all"
        )
    return values


def _class_labels(examples: Sequence[TaskExample], num_labels: int) -> dict[str, Tensor]:
    labels = _known(examples, "label")
    if labels is None:
        return {}
    for example, label in zip(examples, labels, strict=True):
        _check_label(example, label, num_labels)
    return {"labels": torch.tensor(labels)}


def _check_label(example: TaskExample, label: int, num_labels: int) -> None:
    if not 0 <= label < num_labels:
        raise ValueError(
            f"example {example['example_id']!r} has the label {label}, there are the labels 0 to {num_labels - 1}"
        )


def _renormalised(targets: np.ndarray) -> np.ndarray:
    """Distributions again, where regions were cut off."""
    sums = targets.sum(axis=1, keepdims=True)
    return np.divide(targets, sums, out=np.zeros_like(targets, dtype=np.float32), where=sums > 0)
