"""The pre-training losses of the originals, computed only where a label asks for them.

Every term is a sum over labelled items divided by their number. A term without any labelled item is 0 and keeps its
gradient path (the originals return NaN). The number can be given from outside, so that several micro-batches or
processes add up to exactly the loss of one large batch.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from processing_vl.ignored_label import IGNORED_LABEL as IGNORE_INDEX

from .input_checks import builds_graph

ACROSS_SHARE = 0.7

LossDenominators = Mapping[str, float | Tensor]


def labelled_items(keep: Tensor, *tensors: Tensor | None) -> tuple[Tensor, list[Tensor | None]]:
    """Flatten batch and sequence, keeping only labelled items where shapes may depend on values.

    Args:
        keep: `[B, L]`, True for labelled items.
        *tensors: `[B, L, ...]` or None.

    Returns:
        Weights `[N]` (1 for labelled items, 0 for others that a compiled graph has to carry along) and the tensors as
        `[N, ...]`. What is carried along is zeroed: ids of -1 and NaN are allowed there, and would spoil the sum.
    """
    keep = keep.flatten()
    if builds_graph():
        flat = [None if x is None else x.flatten(0, 1) for x in tensors]
        return keep.float(), [None if x is None else x.where(keep.view(-1, *[1] * (x.dim() - 1)), 0) for x in flat]
    index = keep.nonzero().squeeze(1)
    weights = torch.ones(index.shape[0], device=keep.device)
    return weights, [None if x is None else x.flatten(0, 1).index_select(0, index) for x in tensors]


def mean_over_labels(items: Tensor, weights: Tensor, denominator: float | Tensor | None) -> Tensor:
    """Weighted sum of per-item losses over the number of labelled items.

    Args:
        items: `[N]` losses.
        weights: `[N]`, 1 for labelled items.
        denominator: Number of labelled items when it is not the one seen here.

    Returns:
        A scalar, 0 when nothing is labelled.
    """
    count = weights.sum().clamp(min=1) if denominator is None else denominator
    return (items * weights).sum() / count


def classification_loss(
    logits: Tensor, labels: Tensor, weights: Tensor | None = None, denominator: float | Tensor | None = None
) -> Tensor:
    """Cross-entropy over labelled items: masked words, or text-image alignment.

    Args:
        logits: `[N, classes]`.
        labels: `[N]`, `IGNORE_INDEX` for items that do not count.
        weights: `[N]`, 1 for labelled items; derived from `labels` when None.
        denominator: Number of labelled items when it is not the one seen here.

    Returns:
        A scalar.
    """
    weights = (labels != IGNORE_INDEX).float() if weights is None else weights
    items = F.cross_entropy(logits.float(), labels.long(), ignore_index=IGNORE_INDEX, reduction="none")
    return mean_over_labels(items, weights, denominator)


def score_loss(logits: Tensor, scores: Tensor, real: Tensor | None = None) -> Tensor:
    """Binary cross-entropy, summed over what is scored and averaged over examples.

    The mean over all places times their number, as in `task_utils.py` of vilbert_beta and vilbert-multi-task, for soft
    answer scores and for the overlap of regions; there padding counts with a loss of 0.

    Args:
        logits: `[B, places]`.
        scores: Between 0 and 1, `[B, places]`.
        real: `[B, places]`, 1 for places that count; None for all.

    Returns:
        A scalar.
    """
    items = F.binary_cross_entropy_with_logits(logits.float(), scores.float(), reduction="none")
    if real is not None:
        items = items.where(real.bool(), 0)
    return items.sum() / logits.shape[0]


def divergence_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Kullback-Leibler divergence of predicted from wanted distributions, summed and divided by the batch size.

    `KLDivLoss(reduction="batchmean")` of uclanlp and transformers, for answers and for phrases. Targets are taken as
    they are, also where they do not sum to 1; rows of zeros add nothing.

    Args:
        logits: `[B, ..., choices]`.
        targets: `[B, ..., choices]`, not negative.

    Returns:
        A scalar.
    """
    return F.kl_div(logits.float().log_softmax(-1), targets.float(), reduction="sum") / logits.shape[0]


def contrastive_loss(scores: Tensor, owners: Tensor) -> Tensor:
    """Cross-entropy of every text among the images of a batch, and of every image among its texts.

    An image with several texts is the mean over them, and each is compared without the others: texts of one image are
    no negatives of each other. An image without a text is skipped.

    Args:
        scores: `[N, M]` of texts and images.
        owners: `[N]`, the image that a text belongs to.

    Returns:
        The mean of both directions, a scalar.
    """
    scores = scores.float()
    owned = owners[:, None] == torch.arange(scores.shape[1], device=scores.device)
    to_images = F.cross_entropy(scores, owners)
    own_scores = scores.gather(1, owners[:, None]).squeeze(1)
    others = scores.masked_fill(owned, -torch.inf).logsumexp(0)[owners]
    losses = torch.logaddexp(own_scores, others) - own_scores
    counts = owned.sum(0)
    to_texts = (losses / counts[owners]).sum() / (counts > 0).sum()
    return (to_images + to_texts) / 2


def region_items(target: str, logits: Tensor, inputs: Mapping[str, Tensor]) -> Tensor:
    """Loss of each predicted region under one target.

    Args:
        target: "kl": KL divergence from the detector's distribution (vilbert_beta; the sum over classes); "mse" and
            "huber": mean over the feature's channels (vilbert-multi-task, VOLTA); "object" and "attribute":
            cross-entropy times the detector's confidence (VOLTA 3, 4); "class": cross-entropy (VOLTA 6); "nce":
            cross-entropy of the true feature among negatives by dot product (vilbert-multi-task).
        logits: Predictions `[N, size]`.
        inputs: What the target reads, `[N, ...]` each: `region_class_probs`, `region_features`, `object_ids`,
            `object_scores`, `attribute_ids`, `attribute_scores`; for "nce" also `negatives` `[N, K, size]`.

    Returns:
        `[N]` losses.
    """
    logits = logits.float()
    if target == "kl":
        return F.kl_div(logits.log_softmax(-1), inputs["region_class_probs"].float(), reduction="none").sum(-1)
    if target == "mse":
        return (logits - inputs["region_features"].float()).square().mean(-1)
    if target == "huber":
        return F.smooth_l1_loss(logits, inputs["region_features"].float(), reduction="none").mean(-1)
    if target == "class":
        return F.cross_entropy(logits, inputs["object_ids"].long(), reduction="none")
    if target in ("object", "attribute"):
        return F.cross_entropy(logits, inputs[f"{target}_ids"].long(), reduction="none") * inputs[f"{target}_scores"]
    candidates = torch.cat((inputs["region_features"][:, None], inputs["negatives"]), dim=1).float()
    scores = (candidates @ logits[:, :, None]).squeeze(-1)
    return F.cross_entropy(scores, scores.new_zeros(scores.shape[0], dtype=torch.long), reduction="none")


def draw_negative_regions(real: Tensor, predicted: Tensor, num_negatives: int) -> Tensor:
    """Draw the regions that a masked region is contrasted with under "nce".

    70 % come from other images of the batch, the rest from the same image, as in vilbert-multi-task; unlike there,
    padding is never drawn, and a lone image or a lone region is contrasted with what there is. vilbert-multi-task
    rounds both shares down, so its 128 negatives are 89 and 38, together 127; here they are 89 and 39.

    How many there are to draw from depends on values, so this is no part of a full graph: compile "nce" without
    `fullgraph=True`, or give `region_negative_indices`.

    Args:
        real: `[B, R]`, True for regions that may be drawn.
        predicted: `[B, R]`, True for masked regions; they must be real.
        num_negatives: Negatives per region.

    Returns:
        `[B, R, num_negatives]`: flat places b * R + r, 0 where nothing is predicted.

    Raises:
        ValueError: When a predicted region is the only one in the batch.
    """
    counts = real.sum(1)
    starts = counts.cumsum(0) - counts
    places = real.flatten().nonzero().squeeze(1)
    image = torch.arange(len(real), device=real.device)[:, None].expand_as(real)[predicted]
    own = (real.flatten().cumsum(0) - 1).view_as(real)[predicted][:, None]
    start, inside = starts[image][:, None], counts[image][:, None] - 1
    across = len(places) - counts[image][:, None]
    if bool((inside + across == 0).any()):
        raise ValueError('region target "nce" needs negatives, but the batch holds a single region')
    column = torch.arange(num_negatives, device=real.device)[None]
    from_other_image = (inside == 0) | ((across > 0) & (column < int(ACROSS_SHARE * num_negatives)))
    size = torch.where(from_other_image, across, inside)
    draw = (torch.rand(size.shape, device=real.device) * size).long().clamp(max=size - 1)
    outside_rank = draw + (draw >= start) * (inside + 1)
    inside_rank = start + draw + (start + draw >= own)
    negatives = torch.zeros(*real.shape, num_negatives, dtype=torch.long, device=real.device)
    negatives[predicted] = places[torch.where(from_other_image, outside_rank, inside_rank)]
    return negatives


def count_labels(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Number of labelled items of each loss term in a batch, for `loss_denominators`.

    Every label counts: the losses refuse one that they could not count, on padding or on a global region that is not
    predicted.

    Args:
        batch: Model inputs.

    Returns:
        Counts under "mlm", "region" and "alignment", for the labels that the batch holds.
    """
    counts = {}
    if "labels" in batch:
        counts["mlm"] = (batch["labels"] != IGNORE_INDEX).sum()
    if "region_labels" in batch:
        counts["region"] = (batch["region_labels"] == 1).sum()
    if "sentence_image_labels" in batch:
        counts["alignment"] = (batch["sentence_image_labels"] != IGNORE_INDEX).sum()
    return counts
