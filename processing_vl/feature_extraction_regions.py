"""Regions of images become padded tensors."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.configuration_utils import PreTrainedConfig
from transformers.feature_extraction_utils import BatchFeature, FeatureExtractionMixin

from configuration_vl.hub_code import CarriesCode
from configuration_vl.region_conventions import GLOBAL_REGION_PLACES, OFFICIAL_FEATURE_SIZES

from .boxes_vl import check_location_size, region_locations, whole_image_location
from .region_features import InvalidRegionFeatures, RegionFeatures


class RegionFeatureExtractor(CarriesCode, FeatureExtractionMixin, auto_class="AutoFeatureExtractor"):
    """Pads the regions of a batch of images into the tensors both models read.

    Most models want one region that stands for the whole image. Data that have it (row 0, `has_global_region`) keep
    theirs; for other data it is added: the mean of the image's features, located at 0 0 1 1 with area 1 (ViLBERT). So
    no image is ever without a region.

    Args:
        visual_embedding_dim: Numbers a region's feature has, D.
        location_size: Numbers a region's location has, L; one of `region_conventions.LOCATION_SIZES`.
        global_region: Place of the region that stands for the whole image: "first", "last" (behind the image's last
            real region, before padding), or None. None adds nothing, and a row 0 that is the whole image is then a
            region like the others.
        max_regions: Regions to keep of an image, from its first on; the global region is kept besides. All when None.
        feature_power: What the sizes of a feature's numbers are raised to, signs kept. The mean of an added global
            region is taken afterwards.
        **kwargs: Further entries of a saved configuration.

    Raises:
        ValueError: An argument has an unknown or impossible value.
    """

    model_input_names = ["visual_embeds", "visual_locations", "visual_attention_mask"]

    def __init__(
        self,
        visual_embedding_dim: int = 2048,
        location_size: int = 5,
        global_region: str | None = "first",
        max_regions: int | None = None,
        feature_power: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if visual_embedding_dim < 1:
            raise ValueError(f"visual_embedding_dim must be at least 1, got {visual_embedding_dim}")
        check_location_size(location_size)
        if global_region not in GLOBAL_REGION_PLACES:
            raise ValueError(f"global_region must be 'first', 'last' or None, got {global_region!r}")
        if max_regions is not None and max_regions < 1:
            raise ValueError(f"max_regions must be at least 1, or None for all regions, got {max_regions}")
        if not feature_power > 0:
            raise ValueError(f"feature_power must be positive, got {feature_power}")
        kwargs.pop("auto_map", None)  # written anew whenever the extractor is saved
        super().__init__(**kwargs)
        self.visual_embedding_dim = visual_embedding_dim
        self.location_size = location_size
        self.global_region = global_region
        self.max_regions = max_regions
        self.feature_power = feature_power

    @classmethod
    def from_model_config(cls, config: PreTrainedConfig, *, max_regions: int | None = None) -> RegionFeatureExtractor:
        """Build the extractor that fits a model.

        Args:
            config: A `ViLBertConfig` or `VisualBertConfig`. A model that reads no locations gets five numbers.
            max_regions: Regions to keep of an image; all when None.

        Returns:
            The extractor.
        """
        return cls(
            visual_embedding_dim=config.visual_embedding_dim,
            location_size=getattr(config, "visual_location_size", 0) or 5,
            global_region=config.global_region,
            max_regions=max_regions,
            feature_power=config.feature_power,
        )

    def __call__(
        self,
        regions: RegionFeatures | Mapping[str, Any] | Sequence[RegionFeatures | Mapping[str, Any]],
        *,
        return_tensors: str = "pt",
    ) -> BatchFeature:
        """Check the regions of one image or several, and pad them.

        Args:
            regions: One image or a list of B images. An image may also be a mapping with the fields of
                `RegionFeatures` (`image_id` may be missing).
            return_tensors: "pt" for torch tensors, "np" for numpy arrays.

        Returns:
            `visual_embeds` float32 `[B, R, D]`, `visual_locations` float32 `[B, R, L]` and `visual_attention_mask`
            int64 `[B, R]`. R is the largest number of regions in the batch, the global region included. Padding is
            zero.

        Raises:
            InvalidRegionFeatures: An image breaks the rules of `RegionFeatures.validate`, or its features have not D
                numbers.
            TypeError: An image is neither `RegionFeatures` nor a mapping of its fields.
            ValueError: There are no images, or `return_tensors` is unknown.
        """
        if return_tensors not in ("pt", "np"):
            raise ValueError(f"return_tensors must be 'pt' or 'np', got {return_tensors!r}")
        images = regions if isinstance(regions, Sequence) else [regions]
        images = [as_region_features(image, number) for number, image in enumerate(images)]
        for image in images:
            image.validate()
        batch = self.encode([self.limit(image) for image in images])
        if return_tensors == "np":
            batch = {name: tensor.numpy() for name, tensor in batch.items()}
        return BatchFeature(batch)

    def encode(self, images: Sequence[RegionFeatures]) -> dict[str, torch.Tensor]:
        """Pad images that are known to be valid and went through `limit` already.

        Args:
            images: B images.

        Returns:
            The same as `__call__`, as torch tensors.

        Raises:
            InvalidRegionFeatures: An image's features have not `visual_embedding_dim` numbers.
            ValueError: There are no images.
        """
        if not images:
            raise ValueError("there are no images to encode: the list of regions is empty")
        for image in images:
            self._check_feature_dim(image)
        visual_embeds = self.pad([image.features for image in images], images).float()
        if self.feature_power != 1:
            visual_embeds = visual_embeds.sign() * visual_embeds.abs() ** self.feature_power
        locations = [region_locations(image.boxes, image.width, image.height, self.location_size) for image in images]
        visual_locations = self.pad(locations, images)
        attention_mask = self.pad([np.ones(image.num_regions, dtype=np.int64) for image in images], images)
        whole_image = torch.from_numpy(whole_image_location(self.location_size))
        for row, image in enumerate(images):
            if self.adds_global_region(image):
                self.write_global_feature(visual_embeds[row], image, denominator=image.num_regions)
                visual_locations[row, self.global_place(image)] = whole_image
                attention_mask[row, self.global_place(image)] = 1
        return {
            "visual_embeds": visual_embeds,
            "visual_locations": visual_locations,
            "visual_attention_mask": attention_mask,
        }

    def limit(self, image: RegionFeatures) -> RegionFeatures:
        """Keep the first `max_regions` regions of an image, and its global region besides.

        Args:
            image: Any number of regions.

        Returns:
            The image itself where nothing is left out, otherwise views of its arrays.
        """
        if self.max_regions is None:
            return image
        kept = self.max_regions + (image.has_global_region and self.global_region is not None)
        if image.num_regions <= kept:
            return image
        arrays = {field.name: getattr(image, field.name) for field in dataclasses.fields(image)}
        cut = {name: value[:kept] for name, value in arrays.items() if isinstance(value, np.ndarray)}
        return dataclasses.replace(image, **cut)

    def adds_global_region(self, image: RegionFeatures) -> bool:
        """Whether the model wants a region for the whole image that the data do not have.

        Args:
            image: The image.

        Returns:
            True when a region is added to those of the image.
        """
        return self.global_region is not None and not image.has_global_region

    def global_place(self, image: RegionFeatures) -> int | None:
        """Where the region for the whole image lies among an image's padded regions.

        Args:
            image: The image.

        Returns:
            Its place, or None when the model knows no such region.
        """
        if self.global_region is None:
            return None
        return 0 if self.global_region == "first" else self._num_places(image) - 1

    def write_global_feature(self, visual_embeds: torch.Tensor, image: RegionFeatures, *, denominator: int) -> None:
        """Write the sum of an image's features, divided by a number, to the place of the added global region.

        Args:
            visual_embeds: The padded features of this one image `[R, D]`, changed in place.
            image: An image for which `adds_global_region` is true.
            denominator: What the sum is divided by: the number of regions for their mean.
        """
        place = self.global_place(image)
        own = visual_embeds[1 : image.num_regions + 1] if place == 0 else visual_embeds[: image.num_regions]
        visual_embeds[place] = own.sum(dim=0) / denominator

    def pad(self, values: Sequence[np.ndarray], images: Sequence[RegionFeatures], *, fill: float = 0) -> torch.Tensor:
        """Put what is known about each region where `encode` puts the region's feature.

        Args:
            values: Per image an array `[num_regions, ...]` in the order of the data; equal trailing shapes.
            images: The B images.
            fill: Value of padding, and of the place of an added global region.

        Returns:
            `[B, R, ...]` in the arrays' own type.
        """
        places = max(self._num_places(image) for image in images)
        # Collected in the arrays' own type: numpy casts float16 to float32 several times slower than torch.
        padded = np.full((len(images), places, *values[0].shape[1:]), fill, dtype=np.result_type(*values))
        for row, (value, image) in enumerate(zip(values, images, strict=True)):
            num_regions = image.num_regions
            if image.has_global_region and self.global_region == "last":
                padded[row, : num_regions - 1] = value[1:]
                padded[row, num_regions - 1] = value[0]
            else:
                start = int(self.adds_global_region(image) and self.global_region == "first")
                padded[row, start : start + num_regions] = value
        return torch.from_numpy(padded)

    def _num_places(self, image: RegionFeatures) -> int:
        return image.num_regions + self.adds_global_region(image)

    def _check_feature_dim(self, image: RegionFeatures) -> None:
        if image.feature_dim != self.visual_embedding_dim:
            raise InvalidRegionFeatures(
                image.image_id,
                f"features have {image.feature_dim} numbers a region, the model wants visual_embedding_dim="
                f"{self.visual_embedding_dim}. Released checkpoints want: {OFFICIAL_FEATURE_SIZES}. Extract features "
                "of that size, or set visual_embedding_dim in the configs of a new model and its processor",
            )


def as_region_features(image: RegionFeatures | Mapping[str, Any], number: int) -> RegionFeatures:
    """An image that may have been given as a mapping.

    Args:
        image: `RegionFeatures`, or a mapping with its fields (`image_id` may be missing); whatever numpy takes for an
            array may stand for one.
        number: Its place in the batch, for messages.

    Returns:
        The image, not validated.

    Raises:
        TypeError: It is neither.
    """
    if isinstance(image, Mapping):
        scalars = ("image_id", "width", "height", "has_global_region")
        arrays = {
            name: np.asarray(value) for name, value in image.items() if name not in scalars and value is not None
        }
        return RegionFeatures(**{"image_id": f"number {number} of the batch", **image, **arrays})
    # Not isinstance: code loaded from the Hub has a RegionFeatures of its own.
    if not hasattr(image, "validate"):
        raise TypeError(
            f"image {number} of the batch is {type(image).__name__}, "
            "expected RegionFeatures or a mapping of its fields"
        )
    return image
