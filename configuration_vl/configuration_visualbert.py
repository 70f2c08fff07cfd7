"""VisualBERT's configuration."""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers.utils import logging

from .configuration_vision_language import VisionLanguageConfig
from .region_conventions import LOCATION_SIZES

NATIVE_MODEL_TYPE = "visual_bert"
NATIVE_DEFAULTS = {"visual_token_type_id": 1, "visual_embedding_dim": 512, "pad_token_id": 1}
"""What transformers' own VisualBERT uses where its config is silent, and ours would use something else."""

logger = logging.get_logger(__name__)


@strict
class VisualBertConfig(VisionLanguageConfig, auto_class="AutoConfig"):
    """Configuration of VisualBERT: one stream over words and regions (Li et al., 2019, section 3.1).

    The defaults are the uclanlp models with 2048-dimensional regions. Fields shared with transformers' own
    `VisualBertConfig` have its names, so its folders load here; the shared rest is described in
    `VisionLanguageConfig`.

    A folder of transformers' own VisualBERT (`model_type` "visual_bert") is read with that model's defaults. It has no
    field for the type of regions: transformers gives them type 1, so models fine-tuned there were trained with it.
    Type 1 is therefore taken and said in a warning, unless the folder's config names `visual_token_type_id`. Weights
    that were converted from uclanlp's and never fine-tuned want 0.

    Args:
        visual_token_type_id: Type of a region when the caller gives none. 0 in the uclanlp and MMF weights, 1 in
            VOLTA's and in models fine-tuned with transformers' `VisualBert*` classes.
        special_visual_initialize: Whether a fresh model, and `from_bert`, copy the text's type and position tables
            into the visual ones.
        bypass_transformer: Whether the layers read text only, and one additional layer then joins text and regions.
        pooler_size: Width of the pooled vectors (1024 in VOLTA). None means `hidden_size`. With `fusion_method` "mul"
            or "sum" the first region is pooled too, as in VOLTA; "text" is the paper's single pooler.
        visual_location_size: Numbers of a region's box that a linear layer adds to its embedding: 0, boxes are not
            read (VisualBERT), or 4, 5 or 7 as in `ViLBertConfig` (5 in vilbert_beta's single-stream baseline).
        separate_layer_norms: Whether words and regions get layer norms of their own before they are joined, as in
            vilbert_beta's single-stream baseline, instead of a common one.

    Raises:
        ValueError: When fields contradict each other; the message names them.
    """

    model_type = "visualbert"
    size_fields = (*VisionLanguageConfig.size_fields, "pooler_size")

    classifier_hidden_size: int | None = 0
    answer_position: str = "mask"
    answer_loss: str = "kl"
    visual_token_type_id: int = 0
    special_visual_initialize: bool = True
    bypass_transformer: bool = False
    pooler_size: int | None = None
    visual_location_size: int = 0
    separate_layer_norms: bool = False

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        """Build a config from a folder's fields, transformers' own VisualBERT included.

        Args:
            config_dict: The fields.
            **kwargs: As in `PreTrainedConfig.from_dict`.

        Returns:
            The config; with `return_unused_kwargs=True` also the arguments that no field took.
        """
        if config_dict.get("model_type") == NATIVE_MODEL_TYPE:
            if "visual_token_type_id" not in {**config_dict, **kwargs}:
                logger.warning(
                    f"A {NATIVE_MODEL_TYPE!r} config does not say which type its regions have; taking "
                    f"visual_token_type_id={NATIVE_DEFAULTS['visual_token_type_id']}, as transformers does. Weights "
                    "converted from uclanlp's and not fine-tuned in transformers want visual_token_type_id=0"
                )
            config_dict = {**NATIVE_DEFAULTS, **config_dict, "model_type": cls.model_type}
        return super().from_dict(config_dict, **kwargs)

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what follows from other fields, then check the fields against each other."""
        if self.pooler_size is None:
            self.pooler_size = self.hidden_size
        self.check_consistency()
        super().__post_init__(**kwargs)

    def check_consistency(self) -> None:
        """Raise a `ValueError` that names the fields when values contradict each other."""
        super().check_consistency()
        self._check_one_of("visual_location_size", (0, *LOCATION_SIZES))
        if not 0 <= self.visual_token_type_id < self.type_vocab_size:
            raise ValueError(
                f"visual_token_type_id ({self.visual_token_type_id}) must be below type_vocab_size "
                f"({self.type_vocab_size})"
            )
