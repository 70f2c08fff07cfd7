"""What is computed: ViLBERT and VisualBERT. Importing this package registers them with transformers' Auto classes."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForPreTraining,
)

from configuration_vl import ViLBertConfig, VisualBertConfig

from .modeling_vilbert import ViLBertForPreTraining, ViLBertModel
from .modeling_visualbert import VisualBertForPreTraining, VisualBertModel


for config_class, model_class, pretraining_class in (
    (ViLBertConfig, ViLBertModel, ViLBertForPreTraining),
    (VisualBertConfig, VisualBertModel, VisualBertForPreTraining),
):
    AutoConfig.register(config_class.model_type, config_class, exist_ok=True)
    AutoModel.register(config_class, model_class, exist_ok=True)
    AutoModelForPreTraining.register(config_class, pretraining_class, exist_ok=True)

__all__ = [
    "ViLBertConfig",
    "ViLBertForPreTraining",
    "ViLBertModel",
    "VisualBertConfig",
    "VisualBertForPreTraining",
    "VisualBertModel",
]
