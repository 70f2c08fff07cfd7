"""A start for small data: a retrieval model that ranks like canonical correlation before its first step.

A fresh projection of region features takes hundreds of thousands of captions to learn what a sentence and a photo
have in common. With some hundred photos a closed form finds more of it than gradient descent: the linear maps of the
whole image's feature and of the caption's mean state under which they agree most. They are written into the layers
that the model has anyway: projection, poolers, alignment head. Co-attention and all else stay as they are, near zero
where the config's `initializer_range` is small, and learn from there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm
from transformers import PreTrainedModel

from datasets_vl.tasks.caption_retrieval import RetrievalSplit
from processing_vl.processing_regions import RegionTextProcessor

from .canonical_correlation import CanonicalMaps, LinearFit, canonical_maps, fit_linear

IMAGE_RIDGE, TEXT_RIDGE = 4000.0, 1200.0
"""Divided by the number of images they are shares of the mean variances. Chosen by cross-validation on Flickr8k."""

TEXT_POOLER_RIDGE, IMAGE_POOLER_RIDGE = 2e-2, 1e-4
LEAST_DEVIATION = 0.1
BACKGROUND = 0.25
"""Length of the rest of a projected feature, which serves attention, beside the part that is compared with texts."""


@dataclass(frozen=True)
class LeastSquaresStart:
    """How well the start does on the pairs it was made from.

    Attributes:
        correlation: The largest canonical correlation.
        text_explained: Share of the variance of the captions' vectors that the text pooler finds in what it reads.
        image_explained: The same of the images' vectors and the image pooler.
    """

    correlation: float
    text_explained: float
    image_explained: float

    def __str__(self) -> str:
        return (
            f"least-squares start: canonical correlation {self.correlation:.2f}; the poolers explain "
            f"{self.text_explained:.1%} of the captions' vectors and {self.image_explained:.1%} of the images'"
        )


@torch.no_grad()
def least_squares_start(
    model: PreTrainedModel,
    processor: RegionTextProcessor,
    split: RetrievalSplit,
    *,
    scale: float = 12.0,
    max_text_length: int = 36,
    batch_size: int = 64,
    progress: bool = False,
) -> LeastSquaresStart:
    """Write the closed-form solution into a model.

    Args:
        model: For image-text retrieval, its text layers trained, its image side fresh; changed in place.
        processor: Encodes texts and regions.
        split: The training images, whose first region is the whole image, and their captions.
        scale: Score of a caption and an image whose vectors agree perfectly; the contrast of the first losses.
        max_text_length: Word pieces a text keeps.
        batch_size: Captions a forward pass.
        progress: Whether to show a progress bar.

    Returns:
        How well it fits.

    Raises:
        ValueError: If the model cannot hold the solution; the message names the config's fields, or if there are too
            few images.
    """
    _check(model)
    was_training = model.training
    model.eval()
    layers = _Layers(model)
    features = _whole_images(processor, split)
    reads = {"max_text_length": max_text_length, "batch_size": batch_size, "progress": progress}
    captions = nn.functional.normalize(_read(model, processor, split, "captions", **reads).means, dim=1)
    owners = torch.from_numpy(split.owners)
    of_images = torch.zeros(len(features), captions.shape[1]).index_add_(0, owners, captions)
    of_images /= owners.bincount(minlength=len(features))[:, None]
    centre = of_images.mean(0)

    mean = features.mean(0)
    # A number that hardly varies here may vary among other images.
    deviation = features.std(0) + LEAST_DEVIATION * features.std()
    standardised = (features - mean) / deviation
    size = layers.text_pooler.out_features
    ridges = {"first_ridge": IMAGE_RIDGE / len(features), "second_ridge": TEXT_RIDGE / len(features)}
    maps = canonical_maps(standardised, of_images - centre, size, **ridges)
    wanted_images = nn.functional.normalize(standardised @ maps.first, dim=1)
    wanted_texts = nn.functional.normalize((captions - centre) @ maps.second, dim=1)
    projection = _projection(standardised, maps, layers.projection.out_features) / deviation[:, None]
    layers.projection.weight.copy_(projection.T)
    layers.projection.bias.copy_(-mean @ projection)

    states = _read(model, processor, split, "start", **reads)
    read = states.means if model.config.text_pooling == "mean" else states.first_tokens
    text = fit_linear(read, wanted_texts, TEXT_POOLER_RIDGE)
    image = fit_linear(states.first_regions, wanted_images[owners], IMAGE_POOLER_RIDGE)
    _write(layers.text_pooler, text)
    _write(layers.image_pooler, image)
    layers.write_scale(scale)
    model.train(was_training)
    return LeastSquaresStart(maps.correlations[0].item(), text.explained, image.explained)


class _Layers:
    """The layers of either model that hold the solution."""

    def __init__(self, model: PreTrainedModel) -> None:
        base = model.base_model
        if model.config.model_type == "vilbert":
            self.projection: nn.Linear = base.visual_embeddings.feature_projection
            self.text_pooler: nn.Linear = base.text_pooler.dense
        else:
            self.projection = base.embeddings.visual_projection
            self.text_pooler = base.pooler.dense
        self.image_pooler: nn.Linear = base.visual_pooler.dense
        self.head = model.cls

    def write_scale(self, scale: float) -> None:
        """Let the head add up the product of both vectors, times `scale`."""
        if isinstance(self.head, nn.Linear):
            self.head.weight.fill_(scale)
            self.head.bias.zero_()
            return
        alignment = self.head.seq_relationship
        alignment.weight.copy_(torch.tensor([[0.5], [-0.5]]) * scale)
        alignment.bias.zero_()


def _check(model: PreTrainedModel) -> None:
    config = model.config
    wanted = {"fusion_method": "mul", "pooler_act": "linear"}
    if config.model_type == "visualbert":
        wanted["bypass_transformer"] = True  # the text is read alone, as in ViLBERT; then a layer joins both
    wrong = [
        f"{name}={value!r} (not {getattr(config, name)!r})"
        for name, value in wanted.items()
        if getattr(config, name) != value
    ]
    if wrong:
        raise ValueError(
            f"a least-squares start is a product of two linear poolers: the config needs {', '.join(wrong)}"
        )


def _whole_images(processor: RegionTextProcessor, split: RetrievalSplit) -> Tensor:
    """Features of the regions that the image pooler reads, `[M, D]`."""
    first = []
    for start in range(0, len(split.image_ids), 64):
        images = split.images(slice(start, start + 64))
        first.append(processor.feature_extractor(images)["visual_embeds"][:, 0])
    return torch.cat(first)


def _projection(standardised: Tensor, maps: CanonicalMaps, width: int) -> Tensor:
    """Standardised features to a stream of `width`: first what is compared with texts, then what else varies most."""
    compared = maps.first / (standardised @ maps.first).norm(dim=1).mean()
    _, _, directions = torch.linalg.svd(standardised, full_matrices=False)
    rest = directions[: width - compared.shape[1]].T
    rest = rest * BACKGROUND / (standardised @ rest).norm(dim=1).mean()
    # Directions are missing where there are fewer images than places.
    rest = nn.functional.pad(rest, (0, width - compared.shape[1] - rest.shape[1]))
    return torch.cat((compared, rest), dim=1) * width**0.5


@dataclass(frozen=True)
class _States:
    """What the model made of all captions with their images: mean and first states of the texts, first regions."""

    means: Tensor
    first_tokens: Tensor
    first_regions: Tensor


def _read(
    model: PreTrainedModel,
    processor: RegionTextProcessor,
    split: RetrievalSplit,
    what: str,
    *,
    max_text_length: int,
    batch_size: int,
    progress: bool,
) -> _States:
    parts = []
    with tqdm(desc=f"reading for the {what}", total=len(split.indices), unit="caption", disable=not progress) as bar:
        for rows in _slices(len(split.indices), batch_size):
            texts = processor(text=split.texts(rows), max_length=max_text_length)
            owners = torch.from_numpy(split.owners[rows])
            distinct, numbers = owners.unique(return_inverse=True)
            images = processor.feature_extractor([split.images(slice(i, i + 1))[0] for i in distinct.tolist()])
            pairs = torch.stack((torch.arange(len(numbers)), numbers), dim=1)
            inputs = {name: value.to(model.device) for name, value in {**texts, **images, "pair_index": pairs}.items()}
            output = model.base_model(**inputs)
            length = texts["input_ids"].shape[1]
            tokens = output.last_hidden_state[:, :length].float().cpu()
            regions = output.get("visual_last_hidden_state")
            regions = output.last_hidden_state[:, length:] if regions is None else regions
            mask = texts["attention_mask"][..., None]
            parts.append(((tokens * mask).sum(1) / mask.sum(1), tokens[:, 0], regions[:, 0].float().cpu()))
            bar.update(len(numbers))
    return _States(*(torch.cat(part) for part in zip(*parts, strict=True)))


def _slices(count: int, size: int) -> Iterator[slice]:
    return (slice(start, min(start + size, count)) for start in range(0, count, size))


def _write(layer: nn.Linear, fit: LinearFit) -> None:
    layer.weight.copy_(fit.weight)
    layer.bias.copy_(fit.bias)
