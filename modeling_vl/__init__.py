"""What is computed: ViLBERT and VisualBERT. Importing this package registers them with transformers' Auto classes."""

from transformers import AutoConfig, AutoFeatureExtractor, AutoModel, AutoModelForPreTraining, AutoProcessor

from configuration_vl import ViLBertConfig, VisualBertConfig
from processing_vl import RegionFeatureExtractor, RegionTextProcessor

from .modeling_vilbert import ViLBertForPreTraining, ViLBertModel
from .modeling_visualbert import VisualBertForPreTraining, VisualBertModel

for _config, _model, _pretraining in (
    (ViLBertConfig, ViLBertModel, ViLBertForPreTraining),
    (VisualBertConfig, VisualBertModel, VisualBertForPreTraining),
):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoModel.register(_config, _model, exist_ok=True)
    AutoModelForPreTraining.register(_config, _pretraining, exist_ok=True)
    AutoFeatureExtractor.register(_config, RegionFeatureExtractor, exist_ok=True)
    AutoProcessor.register(_config, RegionTextProcessor, exist_ok=True)

__all__ = [
    "ViLBertConfig",
    "ViLBertForPreTraining",
    "ViLBertModel",
    "VisualBertConfig",
    "VisualBertForPreTraining",
    "VisualBertModel",
]
