"""Pre-training examples become batches: tokens, regions, masks and labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import torch

from configuration_vl.region_targets import REGION_TARGETS

from .ignored_label import IGNORED_LABEL
from .masking import RegionMask, mask_regions, mask_tokens
from .pretraining_example import MATCH, MISMATCH, PreTrainingExample
from .processing_regions import RegionTextProcessor
from .region_features import RegionFeatures

_MASKING_STREAM = 1
"""Last number of the seed that masks are drawn from; whoever chooses captions appends 0 to the same `rng_key`."""


class PreTrainingCollator:
    """Masks examples and pads them into the inputs and labels of a pre-training model.

    Regions are masked before the region for the whole image is added, so that it does not give away what is hidden; a
    row 0 of the data that is the whole image is never masked. A region that lacks one of the targets (object or
    attribute id below 0) is never masked either: there is nothing to predict.

    Args:
        processor: Encodes texts and regions.
        region_targets: Names of what masked region modelling predicts, `config.region_targets` of the model. Empty: no
            region is masked and there are no region labels (VisualBERT, as in its paper).
        objective: What mismatched pairs are for, numbered as in vilbert-multi-task: 0, all losses see all pairs; 1,
            tokens and regions of mismatched pairs are masked but not predicted; 2, there are no mismatched pairs and
            no alignment is judged.
        max_text_length: Word pieces a text keeps, special tokens included; [SEP] is never cut off. At most what the
            tokenizer knows the model to have positions for.
        token_mask_probability: Share of tokens to predict.
        region_mask_probability: Share of regions to predict.
        overlap_threshold: See `masking.mask_regions`; changes only the mean that an added global region holds.

    Raises:
        ValueError: An argument is impossible, or contradicts another or the processor.
    """

    def __init__(
        self,
        processor: RegionTextProcessor,
        *,
        region_targets: Collection[str] = (),
        objective: int = 0,
        max_text_length: int = 36,
        token_mask_probability: float = 0.15,
        region_mask_probability: float = 0.15,
        overlap_threshold: float | None = None,
    ) -> None:
        tokenizer = processor.tokenizer
        unknown = sorted(set(region_targets) - set(REGION_TARGETS))
        if unknown:
            raise ValueError(f"region_targets names {unknown}; known targets are {sorted(REGION_TARGETS)}")
        if objective not in (0, 1, 2):
            raise ValueError(f"objective must be 0, 1 or 2, got {objective!r}")
        processor.check_text_length(max_text_length)
        for name, value in (("token", token_mask_probability), ("region", region_mask_probability)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name}_mask_probability must lie in [0, 1], got {value}")
        if tokenizer.mask_token_id is None:
            raise ValueError(f"{type(tokenizer).__name__} has no mask token: masked language modelling needs one")
        if overlap_threshold is not None and not (region_targets and processor.feature_extractor.global_region):
            raise ValueError(
                f"overlap_threshold={overlap_threshold} would change nothing: it belongs to masked regions and an "
                f"added global region, but region_targets is {list(region_targets)} and the processor's global_region "
                f"is {processor.feature_extractor.global_region!r}"
            )
        self.processor = processor
        self.region_inputs = sorted({name for target in region_targets for name in REGION_TARGETS[target].inputs})
        self.objective = objective
        self.max_text_length = max_text_length
        self.token_mask_probability = token_mask_probability
        self.region_mask_probability = region_mask_probability
        self.overlap_threshold = overlap_threshold
        self._special_ids = np.array(tokenizer.all_special_ids)

    def __call__(self, examples: Sequence[PreTrainingExample]) -> dict[str, torch.Tensor]:
        """Collate a batch.

        Args:
            examples: B examples; all with a `text_pair` or none.

        Returns:
            `input_ids`, `attention_mask`, `token_type_ids`, `labels` int64 `[B, T]`; `sentence_image_labels` int64
            `[B]`; `visual_embeds` float32 `[B, R, D]`, `visual_locations` float32 `[B, R, L]`, `visual_attention_mask`
            int64 `[B, R]`. With region targets also `region_labels` int64 `[B, R]` (1: predict) and what the targets
            need: `region_class_probs` float32 `[B, R, C]`, `region_features` float32 `[B, R, D]` (before masking),
            `object_ids`, `attribute_ids` int64 `[B, R]`, `object_scores`, `attribute_scores` float32 `[B, R]`. Labels
            are -100 where nothing is to be predicted.

        Raises:
            InvalidRegionFeatures: An image's features have not the model's size.
            ValueError: There are no examples, an image lacks what a target needs, or labels contradict the objective.
        """
        if not examples:
            raise ValueError("there are no examples to collate")
        generators = [_masking_generator(example["rng_key"]) for example in examples]
        alignment = self._alignment_labels(examples)
        batch = self._encode_texts(examples, generators)
        batch |= self._encode_regions([example["regions"] for example in examples], generators)
        if self.objective == 1:
            for name in {"labels", "region_labels"} & batch.keys():
                batch[name][alignment == MISMATCH] = IGNORED_LABEL
        return batch | {"sentence_image_labels": alignment}

    def _alignment_labels(self, examples: Sequence[PreTrainingExample]) -> torch.Tensor:
        for example in examples:
            label = example["alignment_label"]
            if label not in (MATCH, MISMATCH, None):
                raise ValueError(
                    f"image {example['image_id']!r}: alignment_label must be 0 (match), 1 (mismatch) or None, "
                    f"got {label!r}"
                )
            if self.objective == 2 and label == MISMATCH:
                raise ValueError(
                    f"image {example['image_id']!r}: objective 2 has no mismatched pairs, but the text belongs to "
                    "another image; take examples without mismatches, or objective 0 or 1"
                )
        known = [IGNORED_LABEL if e["alignment_label"] is None else e["alignment_label"] for e in examples]
        return torch.tensor(known if self.objective != 2 else [IGNORED_LABEL] * len(examples))

    def _encode_texts(
        self, examples: Sequence[PreTrainingExample], generators: Sequence[np.random.Generator]
    ) -> dict[str, torch.Tensor]:
        pairs = [example["text_pair"] for example in examples]
        if None in pairs and any(pair is not None for pair in pairs):
            lone = examples[pairs.index(None)]["image_id"]
            raise ValueError(
                f"image {lone!r} has one text, others of its batch have a text_pair: give all or none one"
            )
        encoded = self.processor(
            text=[example["text"] for example in examples],
            text_pair=None if None in pairs else pairs,
            max_length=self.max_text_length,
            return_tensors="np",
        )
        input_ids = encoded["input_ids"]
        labels = np.full_like(input_ids, IGNORED_LABEL)
        for row, rng in enumerate(generators):
            real = np.flatnonzero(encoded["attention_mask"][row])
            ids = input_ids[row, real]
            input_ids[row, real], labels[row, real] = mask_tokens(
                ids,
                maskable=~np.isin(ids, self._special_ids),
                mask_token_id=self.processor.tokenizer.mask_token_id,
                vocab_size=len(self.processor.tokenizer),
                rng=rng,
                probability=self.token_mask_probability,
            )
        return {name: torch.from_numpy(value) for name, value in {**encoded, "labels": labels}.items()}

    def _encode_regions(
        self, images: Sequence[RegionFeatures], generators: Sequence[np.random.Generator]
    ) -> dict[str, torch.Tensor]:
        extractor = self.processor.feature_extractor
        images = [extractor.limit(image) for image in images]
        batch = extractor.encode(images)
        if not self.region_inputs:
            return batch
        for name in self.region_inputs:
            if name == "region_features":
                batch[name] = batch["visual_embeds"].clone()
            else:
                batch[name] = extractor.pad(_target_values(images, name), images)
        if "region_class_probs" in batch:
            batch["region_class_probs"] = batch["region_class_probs"].float()
        masks = [self._mask_regions(image, rng) for image, rng in zip(images, generators, strict=True)]
        labels = [np.where(mask.predicted, 1, IGNORED_LABEL) for mask in masks]
        batch["region_labels"] = extractor.pad(labels, images, fill=IGNORED_LABEL)
        zeroed = extractor.pad([mask.zeroed for mask in masks], images)
        batch["visual_embeds"].masked_fill_(zeroed[..., None], 0)
        for embeds, image, mask in zip(batch["visual_embeds"], images, masks, strict=True):
            if extractor.adds_global_region(image):
                extractor.write_global_feature(embeds, image, denominator=mask.mean_denominator)
        return batch

    def _mask_regions(self, image: RegionFeatures, rng: np.random.Generator) -> RegionMask:
        maskable = np.ones(image.num_regions, dtype=bool)
        maskable[0] = not image.has_global_region
        for name in {"object_ids", "attribute_ids"} & set(self.region_inputs):
            maskable &= getattr(image, name) >= 0
        return mask_regions(
            image.boxes,
            maskable=maskable,
            rng=rng,
            probability=self.region_mask_probability,
            overlap_threshold=self.overlap_threshold,
        )


def _masking_generator(rng_key: tuple[int, int, int]) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([*rng_key, _MASKING_STREAM])))


def _target_values(images: Sequence[RegionFeatures], model_input: str) -> list[np.ndarray]:
    field = "class_probs" if model_input == "region_class_probs" else model_input
    values = []
    for image in images:
        value = getattr(image, field)
        if value is None:
            targets = [name for name, target in REGION_TARGETS.items() if model_input in target.inputs]
            raise ValueError(
                f"image {image.image_id!r} has no {field}, which the region targets {targets} need: "
                f"convert the data with {field}, or choose other region_targets"
            )
        if values and value.shape[1:] != values[0].shape[1:]:
            raise ValueError(
                f"image {image.image_id!r} has {field} of {value.shape[1]} classes, image {images[0].image_id!r} of "
                f"{values[0].shape[1]}: one model predicts one set of classes"
            )
        values.append(value)
    return values
