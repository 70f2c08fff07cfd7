"""Finding the region that an expression refers to: RefCOCO, RefCOCO+ and RefCOCOg."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .input_checks import check_finite, check_floating, check_labelled_places
from .losses import score_loss
from .model_inputs import ModelInputs, Reading
from .outputs import TaskOutput, recorded_fields
from .read_places import ReadPlaces
from .task_models import Read, Task, TaskMixin, ViLBertTaskModel, VisualBertTaskModel, build_classifier, evaluate

Boxes = Sequence[Sequence[Sequence[float]]]


def region_states(reading: Reading) -> Tensor:
    """States of the regions that something is to be found among.

    Args:
        reading: What was read.

    Returns:
        `[P, R, region size]`.

    Raises:
        ValueError: When no image was given.
    """
    if reading.regions is None:
        raise ValueError("visual_embeds are missing: there are no regions to find anything among")
    return reading.regions


def hide_padding(scores: Tensor, region_mask: Tensor | None) -> Tensor:
    """Scores with padded regions at the lowest number there is.

    Args:
        scores: `[B, ..., R]`.
        region_mask: `[B, R]`, 1 for real regions, or None when nothing is padded.

    Returns:
        `[B, ..., R]`.
    """
    if region_mask is None:
        return scores
    padding = ~region_mask.bool().view(scores.shape[0], *[1] * (scores.dim() - 2), -1)
    return scores.masked_fill(padding, torch.finfo(scores.dtype).min)


def ranked_regions(
    logits: Tensor, scores: Tensor, region_mask: Tensor | None, top_k: int, boxes: Sequence[Sequence[float]] | None
) -> list[dict[str, Any]]:
    """The best regions of one image.

    Args:
        logits: What orders the regions, `[R]`.
        scores: What is said of them, `[R]`.
        region_mask: `[R]`, 1 for real regions, or None when all are.
        top_k: Regions wanted; fewer where the image has fewer.
        boxes: A box for every region, padding left out or not.

    Returns:
        `{"region": number, "score": score}`, best first; with `boxes` also `"box"`.

    Raises:
        ValueError: When the boxes are not as many as the regions.
    """
    real = len(logits) if region_mask is None else int(region_mask.sum())
    if boxes is not None and len(boxes) not in (real, len(logits)):
        raise ValueError(
            f"{len(boxes)} boxes are given for an image of which the model reads {real} regions: give one for each, "
            "also for the region that stands for the whole image where the processor adds one (global_region)"
        )
    found = [
        {"region": region, "score": scores[region].item()} for region in logits.topk(min(top_k, real)).indices.tolist()
    ]
    if boxes is not None:
        found = [{**one, "box": [float(side) for side in boxes[one["region"]]]} for one in found]
    return found


def image_regions(
    region_mask: Tensor | None, boxes: Boxes | None, num_images: int
) -> Iterator[tuple[Tensor | None, Sequence[Sequence[float]] | None]]:
    """What is known of each image's regions.

    Args:
        region_mask: `[B, R]`, 1 for real regions, or None when all are.
        boxes: Boxes of every image's regions.
        num_images: B.

    Yields:
        Mask and boxes of each image.

    Raises:
        ValueError: When boxes are given for another number of images.
    """
    if boxes is not None and len(boxes) != num_images:
        raise ValueError(f"boxes are given for {len(boxes)} images, but {num_images} were read")
    for image in range(num_images):
        yield None if region_mask is None else region_mask[image], None if boxes is None else boxes[image]


class RegionGrounding(Task):
    """A score for every region."""

    options = ("top_k", "boxes")

    def build_head(self, region_size: int) -> nn.Module:
        """A classifier of one output on each region's state."""
        return build_classifier(self.config, region_size, self.config.region_classifier_hidden_size, 1)

    def run(self, read: Read, head: nn.Module, inputs: ModelInputs, labels: Tensor | None) -> TaskOutput:
        """Score the regions.

        Args:
            read: Runs the model.
            head: What `build_head` built.
            inputs: Expressions and images.
            labels: Overlap of each region with the one that is meant `[B, R]`, between 0 and 1.

        Returns:
            Loss, and logits `[B, R]`.
        """
        reading = read(inputs, ReadPlaces(text=False, pooled=False))
        scores = head(self.drop(region_states(reading), head)).squeeze(-1)
        loss = None
        if labels is not None:
            check_floating("labels (overlap of each region with the one that is meant)", labels, scores.shape)
            check_finite("labels", labels, 0, 1)
            check_labelled_places("labels above 0", labels > 0, reading.region_mask, "padding")
            loss = score_loss(scores, labels, reading.region_mask)
        logits = hide_padding(scores, reading.region_mask)
        return TaskOutput(loss=loss, logits=logits, **recorded_fields(reading.states))

    def decode(
        self, logits: Tensor, inputs: Mapping[str, Any], top_k: int = 1, boxes: Boxes | None = None
    ) -> list[list[dict[str, Any]]]:
        """The regions that each expression refers to.

        Args:
            logits: `[B, R]`.
            inputs: `visual_attention_mask` `[B, R]` is read where there is one.
            top_k: Regions an expression.
            boxes: Boxes of every image's regions.

        Returns:
            For every expression its regions, best first, as `ranked_regions` gives them.
        """
        images = image_regions(inputs.get("visual_attention_mask"), boxes, len(logits))
        return [
            ranked_regions(row, row.sigmoid(), mask, top_k, image_boxes)
            for row, (mask, image_boxes) in zip(logits, images, strict=True)
        ]


class RegionGroundingMixin(TaskMixin):
    """Regions, as `predict` gives them."""

    task_class = RegionGrounding

    def predict(self, *, top_k: int = 1, boxes: Boxes | None = None, **inputs: Any) -> list[list[dict[str, Any]]]:
        """Find the regions that expressions refer to.

        Args:
            top_k: Regions an expression.
            boxes: Boxes of every image's regions, for example x1 y1 x2 y2 in pixels, `[B, R, 4]`; the region for the
                whole image that a processor adds has one too.
            **inputs: Arguments of `forward`.

        Returns:
            For every expression its regions, best first: `{"region": number, "score": probability}`, and with `boxes`
            also `"box"`. The score is that of lying on what is meant.
        """
        return self.task.decode(evaluate(self, inputs), inputs, top_k, boxes)


class ViLBertForRegionGrounding(RegionGroundingMixin, ViLBertTaskModel):
    """ViLBERT for referring expressions (section 3.2 of the paper): a linear layer on every region's state.

    Labels are the overlap of each region with the one that is meant `[B, R]` (the paper counts less than 0.5 as 0), 0
    at padding; the loss is the binary cross-entropy summed over regions. Logits are `[B, R]`, at padding the lowest
    number there is. With phrases as texts this is also vilbert-multi-task's way of Flickr30k Entities.
    """


class VisualBertForRegionGrounding(RegionGroundingMixin, VisualBertTaskModel):
    """VisualBERT for referring expressions, with ViLBERT's head (as in VOLTA); see `ViLBertForRegionGrounding`."""
