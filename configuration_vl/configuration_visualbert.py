"""VisualBERT's configuration."""

from typing import Any

from huggingface_hub.dataclasses import strict

from .configuration_vision_language import VisionLanguageConfig


@strict
class VisualBertConfig(VisionLanguageConfig):
    """Configuration of VisualBERT: one stream over words and regions (Li et al., 2019, section 3.1).

    The defaults are the uclanlp models with 2048-dimensional regions. Fields shared with transformers' own
    `VisualBertConfig` have its names, so its folders load here; the shared rest is described in
    `VisionLanguageConfig`.

    Args:
        visual_token_type_id: Type of a region when the caller gives none. 0 in the uclanlp and MMF weights, 1 in
            VOLTA's and in models fine-tuned with transformers' `VisualBert*` classes.
        special_visual_initialize: Whether a fresh model, and `from_bert`, copy the text's type and position tables
            into the visual ones.
        bypass_transformer: Whether the layers read text only, and one additional layer then joins text and regions.
        pooler_size: Width of the pooled vectors (1024 in VOLTA). None means `hidden_size`. With `fusion_method` "mul"
            or "sum" the first region is pooled too, as in VOLTA; "text" is the paper's single pooler.

    Raises:
        ValueError: When fields contradict each other; the message names them.
    """

    model_type = "visualbert"

    visual_token_type_id: int = 0
    special_visual_initialize: bool = True
    bypass_transformer: bool = False
    pooler_size: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        """Fill in what follows from other fields, then check the fields against each other."""
        if self.pooler_size is None:
            self.pooler_size = self.hidden_size
        self.check_consistency()
        super().__post_init__(**kwargs)

    def check_consistency(self) -> None:
        """Raise a `ValueError` that names the fields when values contradict each other."""
        super().check_consistency()
        if not 0 <= self.visual_token_type_id < self.type_vocab_size:
            raise ValueError(
                f"visual_token_type_id ({self.visual_token_type_id}) must be below type_vocab_size "
                f"({self.type_vocab_size})"
            )
