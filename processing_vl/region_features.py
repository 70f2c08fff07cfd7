"""RegionFeatures: what a detector says about one image, as one value object of numpy arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_LARGEST_SUM = 1.01
"""Of the probabilities of a region: a sum of thousands of float16 numbers, rounded one by one, may exceed 1."""
_LARGEST_SHARE = 1.01
"""Of an image's width or height: boxes that are shares may leave the image by a rounding error."""
_SMALLEST_IMAGE = 3
"""Width or height in pixels from which boxes within one pixel are taken for shares of the image."""


class InvalidRegionFeatures(ValueError):
    """Region features that no model should see.

    Args:
        image_id: The image the features belong to.
        reason: What is wrong, without the image id.

    Attributes:
        image_id: The image the features belong to.
        reason: What is wrong, without the image id.
    """

    def __init__(self, image_id: str, reason: str) -> None:
        super().__init__(image_id, reason)  # both, so that the error survives a trip between processes
        self.image_id = image_id
        self.reason = reason

    def __str__(self) -> str:
        return f"image {self.image_id!r}: {self.reason}"


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class RegionFeatures:
    """The regions of one image: R boxes, their features and, where known, what the detector saw in them.

    Building one checks nothing and copies nothing; `validate` does the checking where data enter.

    Attributes:
        image_id: Name of the image, unique in its data set.
        width: Image width in pixels.
        height: Image height in pixels.
        boxes: float32 `[R, 4]`, corners x1, y1, x2, y2 in pixels.
        features: float16 or float32 `[R, D]`.
        class_probs: float16 or float32 `[R, C]`, the detector's distribution over object classes.
        object_ids: int64 `[R]`, the most probable object class; -1 where there is none.
        object_scores: float32 `[R]`, confidence in `object_ids`.
        attribute_ids: int64 `[R]`, the most probable attribute; -1 where there is none.
        attribute_scores: float32 `[R]`, confidence in `attribute_ids`.
        has_global_region: Whether row 0 is the whole image. A property of the data set, repeated here so that
            nobody can forget it.
    """

    image_id: str
    width: int
    height: int
    boxes: np.ndarray
    features: np.ndarray
    class_probs: np.ndarray | None = None
    object_ids: np.ndarray | None = None
    object_scores: np.ndarray | None = None
    attribute_ids: np.ndarray | None = None
    attribute_scores: np.ndarray | None = None
    has_global_region: bool = False

    @property
    def num_regions(self) -> int:
        """R, the global region included where the data have one."""
        return len(self.features)

    @property
    def feature_dim(self) -> int:
        """D, the numbers a region has."""
        return self.features.shape[1]

    @property
    def num_classes(self) -> int | None:
        """C, or None without `class_probs`."""
        return None if self.class_probs is None else self.class_probs.shape[1]

    def validate(self, *, feature_dim: int | None = None) -> None:
        """Check everything a model relies on.

        Args:
            feature_dim: The D that the data set or the model wants; any D when None.

        Raises:
            InvalidRegionFeatures: The id is no text or empty, the image size is no pair of positive whole numbers, an
                array has the wrong type or shape, counts disagree, a number is not finite, a box leaves the image by
                more than a pixel or has no area, boxes are shares of the image, D is not `feature_dim`, class
                probabilities are negative or add up to more than 1, scores lack the ids they belong to, or row 0 of
                an image said to have a global region is not the whole image.
        """
        if not isinstance(self.image_id, str) or not self.image_id:
            self._refuse(f"image_id is {self.image_id!r}, expected a text that is not empty")
        for name in ("width", "height"):
            value = getattr(self, name)
            if not isinstance(value, (int, np.integer)) or isinstance(value, bool):
                self._refuse(f"{name} is {value!r}, expected a whole number of pixels (int)")
        if self.width < 1 or self.height < 1:
            self._refuse(f"the image size is {self.width} x {self.height}, expected at least 1 x 1 pixels")
        self._check_array("features", ndim=2, dtypes=("float16", "float32"))
        if self.num_regions == 0:
            self._refuse("no regions, expected at least one")
        if self.feature_dim == 0:
            self._refuse("features are empty: 0 numbers a region")
        if feature_dim is not None and self.feature_dim != feature_dim:
            self._refuse(f"features have {self.feature_dim} numbers a region, expected {feature_dim}")
        self._check_array("boxes", ndim=2, dtypes=("float32",))
        if self.boxes.shape[1] != 4:
            self._refuse(f"boxes have {self.boxes.shape[1]} numbers a region, expected 4 (x1 y1 x2 y2)")
        self._check_array("class_probs", ndim=2, dtypes=("float16", "float32"))
        self._check_class_probs()
        for kind in ("object", "attribute"):
            self._check_array(f"{kind}_ids", ndim=1, dtypes=("int64",))
            self._check_array(f"{kind}_scores", ndim=1, dtypes=("float32",))
            if getattr(self, f"{kind}_ids") is None and getattr(self, f"{kind}_scores") is not None:
                self._refuse(f"{kind}_scores are confidences in {kind}_ids, which are missing")
        self._check_boxes()

    def _check_array(self, name: str, *, ndim: int, dtypes: tuple[str, ...]) -> None:
        array: np.ndarray | None = getattr(self, name)
        if array is None and name not in ("boxes", "features"):
            return
        if not isinstance(array, np.ndarray):
            found = "missing" if array is None else f"a {type(array).__name__}"
            remedy = ".detach().cpu().numpy()" if hasattr(array, "numpy") else _to_array(name, dtypes)
            self._refuse(f"{name} is {found}, expected a numpy array of {' or '.join(dtypes)}: use {remedy}")
        if array.dtype.name not in dtypes:
            self._refuse(
                f"{name} is {array.dtype.name}, expected {' or '.join(dtypes)}: use {_to_array(name, dtypes)}"
            )
        if array.ndim != ndim:
            self._refuse(f"{name} has shape {list(array.shape)}, expected {ndim} dimension{'s' * (ndim > 1)}")
        if len(array) != self.num_regions:
            self._refuse(f"{name} has {len(array)} rows, features have {self.num_regions}")
        if not np.isfinite(array).all():
            row = int(np.argwhere(~np.isfinite(array))[0, 0])
            self._refuse(f"{name} of region {row} holds a number that is not finite")

    def _check_class_probs(self) -> None:
        if self.class_probs is None:
            return
        if (self.class_probs < 0).any():
            self._refuse("class_probs holds negative numbers, expected probabilities (are these logits?)")
        sums = self.class_probs.sum(axis=1, dtype=np.float32)
        if (sums > _LARGEST_SUM).any():
            row = int(sums.argmax())
            self._refuse(
                f"class_probs of region {row} add up to {sums[row]:.4g}, expected at most 1: "
                "one distribution over all classes (are these scores of each class for itself?)"
            )

    def _check_boxes(self) -> None:
        x1, y1, x2, y2 = self.boxes.T
        empty = (x2 <= x1) | (y2 <= y1)
        if empty.any():
            self._refuse_box(empty, "is empty, expected x2 > x1 and y2 > y1")
        # A lone box of one pixel may be a detector's slip; no detector puts all its boxes into the first pixel.
        if (
            self.num_regions > 1
            and max(self.width, self.height) >= _SMALLEST_IMAGE
            and self.boxes.max() <= _LARGEST_SHARE
        ):
            self._refuse(
                f"all boxes lie between 0 and 1 in an image of {self.width} x {self.height} pixels: they look like"
                " shares of the image, expected pixels (multiply x by the width and y by the height)"
            )
        outside = (x1 < -1) | (y1 < -1) | (x2 > self.width + 1) | (y2 > self.height + 1)
        if outside.any():
            self._refuse_box(outside, f"leaves the image of {self.width} x {self.height} pixels by more than a pixel")
        if self.has_global_region:
            whole = np.array([0, 0, self.width, self.height], dtype=np.float32)
            off = np.abs(self.boxes - whole).max(axis=1) > 1
            if off[0]:
                self._refuse_box(off, f"should be the whole image of {self.width} x {self.height} pixels")

    def _refuse_box(self, bad: np.ndarray, what: str) -> None:
        row = int(bad.argmax())
        self._refuse(f"box {[round(float(x), 2) for x in self.boxes[row]]} of region {row} {what}")

    def _refuse(self, reason: str) -> None:
        raise InvalidRegionFeatures(self.image_id, reason)


def _to_array(name: str, dtypes: tuple[str, ...]) -> str:
    """What makes the array of a field, as code."""
    return f"np.asarray({name}, np.{dtypes[-1]})"
