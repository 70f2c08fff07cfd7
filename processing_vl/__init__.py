"""What an example is to a model: region features, the processor, masking and collation."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collators import PreTrainingCollator
    from .feature_extraction_regions import RegionFeatureExtractor
    from .pretraining_example import PreTrainingExample
    from .processing_regions import RegionTextProcessor
    from .region_features import InvalidRegionFeatures, RegionFeatures

_HOMES = {
    "InvalidRegionFeatures": "region_features",
    "PreTrainingCollator": "collators",
    "PreTrainingExample": "pretraining_example",
    "RegionFeatureExtractor": "feature_extraction_regions",
    "RegionFeatures": "region_features",
    "RegionTextProcessor": "processing_regions",
}

__all__ = [
    "InvalidRegionFeatures",
    "PreTrainingCollator",
    "PreTrainingExample",
    "RegionFeatureExtractor",
    "RegionFeatures",
    "RegionTextProcessor",
]


def __getattr__(name: str) -> Any:
    # Names are looked up when they are used: whoever only converts region features never waits for torch.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)
