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
    AutoModelForZeroShotImageClassification,
    AutoModelForZeroShotObjectDetection,
    AutoProcessor,
)
from transformers.pipelines import PIPELINE_REGISTRY

from configuration_vl import ViLBertConfig, VisualBertConfig
from configuration_vl.hub_code import register_model_class, register_pipeline
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
from .pipelines_vl import (
    ImageTextRetrievalPipeline,
    RegionGroundingPipeline,
    RegionVisualQuestionAnsweringPipeline,
)
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
    # Pipelines load models by transformers' own Auto classes alone. Nearest to scoring texts against images, and to
    # finding regions by text, are these two.
    (AutoModelForZeroShotImageClassification, ViLBertForImageTextRetrieval, VisualBertForImageTextRetrieval),
    (AutoModelForZeroShotObjectDetection, ViLBertForRegionGrounding, VisualBertForRegionGrounding),
):
    for _config, _model in ((ViLBertConfig, _vilbert), (VisualBertConfig, _visualbert)):
        _auto.register(_config, _model, exist_ok=True)
        register_model_class(_config, _auto, _model)

for _task, _pipeline, _auto, _models in (
    (
        "region-visual-question-answering",
        RegionVisualQuestionAnsweringPipeline,
        AutoModelForVisualQuestionAnswering,
        (ViLBertForVisualQuestionAnswering, VisualBertForVisualQuestionAnswering),
    ),
    (
        "image-text-retrieval",
        ImageTextRetrievalPipeline,
        AutoModelForZeroShotImageClassification,
        # The alignment head of pre-training ranks images as well.
        (
            ViLBertForImageTextRetrieval,
            VisualBertForImageTextRetrieval,
            ViLBertForPreTraining,
            VisualBertForPreTraining,
        ),
    ),
    (
        "region-grounding",
        RegionGroundingPipeline,
        AutoModelForZeroShotObjectDetection,
        (ViLBertForRegionGrounding, VisualBertForRegionGrounding),
    ),
):
    PIPELINE_REGISTRY.register_pipeline(_task, _pipeline, pt_model=_auto, type="multimodal")
    register_pipeline(_task, _pipeline, _auto, _models)

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
