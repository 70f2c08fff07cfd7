"""How configurations find out that their fields make no sense, and say so."""

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches
from math import inf
from typing import Any, ClassVar

from huggingface_hub.dataclasses import strict  # reads the annotations themselves: no postponed ones in this file
from transformers.configuration_utils import PreTrainedConfig
from transformers.utils import is_torch_available, logging

from .hub_code import CarriesModelCode

logger = logging.get_logger(__name__)


@strict
class CheckedConfig(CarriesModelCode, PreTrainedConfig):
    """A configuration that checks its fields, and warns of keyword arguments that look like misspelt ones.

    Subclasses list the fields that obey a simple rule in the class variables below.
    """

    size_fields: ClassVar[tuple[str, ...]] = ()
    activation_fields: ClassVar[tuple[str, ...]] = ()
    non_negative_fields: ClassVar[tuple[str, ...]] = ()
    probability_fields: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self, **kwargs: Any) -> None:
        """Say which keyword arguments look like misspelt fields; all are kept as attributes."""
        kwargs = self.without_own_code(kwargs)
        names = [known.name for known in fields(self)]
        for key in kwargs:
            closest = [] if hasattr(self, key) else get_close_matches(key, names, n=1, cutoff=0.8)
            if closest:
                logger.warning(
                    f"{type(self).__name__} has no field {key!r}, so {key}={kwargs[key]!r} changes nothing; did you "
                    f"mean {closest[0]!r}?"
                )
        super().__post_init__(**kwargs)

    def check_consistency(self) -> None:
        """Raise a `ValueError` that names the fields when values make no sense."""
        for name in self.size_fields:
            self._check_range(name, 1, inf, "must be at least 1")
        for name in self.non_negative_fields:
            self._check_range(name, 0, inf, "must be finite and not negative")
        for name in self.probability_fields:
            self._check_range(name, 0, 1, "must lie in [0, 1)")
        if is_torch_available():  # transformers' table of activations needs torch; without it no model is built either
            from transformers.activations import ACT2FN

            for name in self.activation_fields:
                self._check_one_of(name, list(ACT2FN))

    def validate_consistency(self) -> None:
        """Check again whenever transformers validates the config, `save_pretrained` included."""
        self.check_consistency()

    def _check_one_of(self, name: str, allowed: Iterable[Any]) -> None:
        if getattr(self, name) not in allowed:
            raise ValueError(f"{name} must be one of {list(allowed)}, got {getattr(self, name)!r}")

    def _check_divisible(self, width: str, heads: str) -> None:
        if not all(isinstance(getattr(self, name), int) for name in (width, heads)):
            return  # a wrong type is reported by @strict, right after this check
        if getattr(self, width) % getattr(self, heads):
            raise ValueError(
                f"{width} ({getattr(self, width)}) must be a multiple of {heads} ({getattr(self, heads)}): "
                "every attention head has the same width"
            )

    def _check_range(self, name: str, lowest: float, end: float, rule: str) -> None:
        value = getattr(self, name)
        # A wrong type is reported by @strict, right after this check.
        if isinstance(value, int | float) and not lowest <= value < end:
            raise ValueError(f"{name} {rule}, got {value}")
