"""What a model is: the configuration classes of ViLBERT and VisualBERT."""

from .configuration_vilbert import ViLBertConfig
from .configuration_visualbert import VisualBertConfig
from .released import RELEASED_CONFIGS, released_config

__all__ = ["RELEASED_CONFIGS", "ViLBertConfig", "VisualBertConfig", "released_config"]
