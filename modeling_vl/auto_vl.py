"""Auto classes of the tasks that transformers has none for."""

from __future__ import annotations

from collections import OrderedDict

from transformers.models.auto.auto_factory import _BaseAutoModelClass, _LazyAutoMapping
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES


def _empty_mapping() -> _LazyAutoMapping:
    """Config class to model class; `register` fills it."""
    return _LazyAutoMapping(CONFIG_MAPPING_NAMES, OrderedDict())


class AutoModelForImageTextRetrieval(_BaseAutoModelClass):
    """The class that scores texts against images, picked by the configuration."""

    _model_mapping = _empty_mapping()


class AutoModelForRegionGrounding(_BaseAutoModelClass):
    """The class that finds the region an expression refers to, picked by the configuration."""

    _model_mapping = _empty_mapping()


class AutoModelForPhraseGrounding(_BaseAutoModelClass):
    """The class that finds the regions of a text's phrases, picked by the configuration."""

    _model_mapping = _empty_mapping()


class AutoModelForMultiTask(_BaseAutoModelClass):
    """The class that does several tasks with one trunk, picked by the configuration."""

    _model_mapping = _empty_mapping()
