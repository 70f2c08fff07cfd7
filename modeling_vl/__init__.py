"""What is computed: ViLBERT and VisualBERT. Importing this package registers them with transformers' Auto classes."""

from transformers import (
    AutoConfig,
    AutoFeatureExtractor,
    AutoModel,
    AutoModelForMaskedLM,
    AutoModelForMultipleChoice,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    AutoModelForVisualQuestionAnswering,
    AutoProcessor,
)

from configuration_vl import ViLBertConfig, VisualBertConfig
from configuration_vl.hub_code import register_model_class
from processing_vl import RegionFeatureExtractor, RegionTextProcessor

from .auto_vl import (
    AutoModelForImageTextRetrieval,
    AutoModelForMultiTask,
    AutoModelForPhraseGrounding,
    AutoModelForRegionGrounding,
)
from .image_text_retrieval import ViLBertForImageTextRetrieval, VisualBertForImageTextRetrieval
from .masked_language_modeling import ViLBertForMaskedLM, VisualBertForMaskedLM
from .modeling_multi_task import ViLBertForMultiTask, VisualBertForMultiTask
from .modeling_vilbert import ViLBertForPreTraining, ViLBertModel
from .modeling_visualbert import VisualBertForPreTraining, VisualBertModel
from .multiple_choice import ViLBertForMultipleChoice, VisualBertForMultipleChoice
from .phrase_grounding import ViLBertForPhraseGrounding, VisualBertForPhraseGrounding
from .question_answering import ViLBertForVisualQuestionAnswering, VisualBertForVisualQuestionAnswering
from .region_grounding import ViLBertForRegionGrounding, VisualBertForRegionGrounding
from .sequence_classification import ViLBertForSequenceClassification, VisualBertForSequenceClassification

for _config in (ViLBertConfig, VisualBertConfig):
    AutoConfig.register(_config.model_type, _config, exist_ok=True)
    AutoFeatureExtractor.register(_config, RegionFeatureExtractor, exist_ok=True)
    AutoProcessor.register(_config, RegionTextProcessor, exist_ok=True)

for _auto, _vilbert, _visualbert in (
    (AutoModel, ViLBertModel, VisualBertModel),
    (AutoModelForPreTraining, ViLBertForPreTraining, VisualBertForPreTraining),
    (AutoModelForMaskedLM, ViLBertForMaskedLM, VisualBertForMaskedLM),
    (
        AutoModelForVisualQuestionAnswering,
        ViLBertForVisualQuestionAnswering,
        VisualBertForVisualQuestionAnswering,
    ),
    (AutoModelForMultipleChoice, ViLBertForMultipleChoice, VisualBertForMultipleChoice),
    (AutoModelForSequenceClassification, ViLBertForSequenceClassification, VisualBertForSequenceClassification),
    (AutoModelForImageTextRetrieval, ViLBertForImageTextRetrieval, VisualBertForImageTextRetrieval),
    (AutoModelForRegionGrounding, ViLBertForRegionGrounding, VisualBertForRegionGrounding),
    (AutoModelForPhraseGrounding, ViLBertForPhraseGrounding, VisualBertForPhraseGrounding),
    (AutoModelForMultiTask, ViLBertForMultiTask, VisualBertForMultiTask),
):
    for _config, _model in ((ViLBertConfig, _vilbert), (VisualBertConfig, _visualbert)):
        _auto.register(_config, _model, exist_ok=True)
        register_model_class(_config, _auto, _model)

__all__ = [
    "AutoModelForImageTextRetrieval",
    "AutoModelForMultiTask",
    "AutoModelForPhraseGrounding",
    "AutoModelForRegionGrounding",
    "ViLBertConfig",
    "ViLBertForImageTextRetrieval",
    "ViLBertForMaskedLM",
    "ViLBertForMultiTask",
    "ViLBertForMultipleChoice",
    "ViLBertForPhraseGrounding",
    "ViLBertForPreTraining",
    "ViLBertForRegionGrounding",
    "ViLBertForSequenceClassification",
    "ViLBertForVisualQuestionAnswering",
    "ViLBertModel",
    "VisualBertConfig",
    "VisualBertForImageTextRetrieval",
    "VisualBertForMaskedLM",
    "VisualBertForMultiTask",
    "VisualBertForMultipleChoice",
    "VisualBertForPhraseGrounding",
    "VisualBertForPreTraining",
    "VisualBertForRegionGrounding",
    "VisualBertForSequenceClassification",
    "VisualBertForVisualQuestionAnswering",
    "VisualBertModel",
]
