"""ViLBERT's configuration."""

from dataclasses import field
from typing import Any

from huggingface_hub.dataclasses import strict

from .configuration_vision_language import VisionLanguageConfig
from .region_conventions import LOCATION_SIZES


@strict
class ViLBertConfig(VisionLanguageConfig, auto_class="AutoConfig"):
    """Configuration of ViLBERT: two streams that meet in co-attention layers (Lu et al., 2019, section 2.2).

    The defaults are `bert_base_6layer_6conect`, the model of the paper. Text-stream fields and pre-training targets
    are those of `VisionLanguageConfig`; a field of the other code bases is named in brackets.

    Args:
        visual_hidden_size: Width of the image stream (`v_hidden_size`).
        visual_num_hidden_layers: Number of image layers (`v_num_hidden_layers`).
        visual_num_attention_heads: Attention heads of an image layer (`v_num_attention_heads`).
        visual_intermediate_size: Width of the image feed-forward layers (`v_intermediate_size`).
        visual_hidden_act: Activation of the image feed-forward layers (`v_hidden_act`). The region head uses
            `hidden_act`, as every original does.
        visual_hidden_dropout_prob: Dropout after output projections of the image stream (`v_hidden_dropout_prob`).
        visual_attention_probs_dropout_prob: Dropout on the image stream's attention weights.
        visual_embedding_dropout_prob: Dropout on the region embeddings. vilbert_beta, vilbert-multi-task and MMF use
            `hidden_dropout_prob` here, VOLTA `v_hidden_dropout_prob`. None means `hidden_dropout_prob`.
        visual_layer_norm_eps: Epsilon of the image stream's layer norms (only VOLTA's differs from 1e-12).
        visual_location_size: Numbers that describe a box: 4 (corners), 5 (and area share) or 7 (and width, height,
            area; VOLTA's `num_locs`).
        num_visual_token_types: Rows of a type table that is added to the region embeddings, so that the regions of two
            images can stand in one sequence (uclanlp's way of NLVR2); 0 for none, as in every ViLBERT code base.
        coattention_hidden_size: Width of the co-attention projections (`bi_hidden_size`).
        coattention_num_attention_heads: Heads of a co-attention layer (`bi_num_attention_heads`).
        coattention_layer_norm_eps: Epsilon of the two layer norms behind the co-attention. 1e-12 in every code base
            but VOLTA, also where MMF's text stream has another one.
        coattention_dropout_stream: Whose attention dropout the co-attention weights get: that of the stream that is
            looked at ("key", vilbert_beta) or of the stream that looks ("query", VOLTA).
        text_coattention_ids: For each co-attention layer, the number of text layers that run before it
            (`t_biattention_id`).
        visual_coattention_ids: The same for image layers (`v_biattention_id`).
        use_coattention: Whether the co-attention layers run (`with_coattention`).
        pooler_size: Width of the pooled text and image (VOLTA's `pooler_size`). None means `coattention_hidden_size`.
        num_task_tokens: Rows of the task token table of 12-in-1 (20 there), 0 for no task token.
        dynamic_attention: Whether the text gates the queries and keys of the image layers (vilbert-multi-task).
        frozen_text_layers: Lowest text layers that get no gradient, nor do the embeddings below (`fixed_t_layer`).
        frozen_visual_layers: The same for the image stream (`fixed_v_layer`).

    Raises:
        ValueError: When fields contradict each other; the message names them.
    """

    model_type = "vilbert"
    size_fields = (
        *VisionLanguageConfig.size_fields,
        "visual_hidden_size",
        "visual_num_hidden_layers",
        "visual_num_attention_heads",
        "visual_intermediate_size",
        "coattention_hidden_size",
        "coattention_num_attention_heads",
        "pooler_size",
    )
    activation_fields = (*VisionLanguageConfig.activation_fields, "visual_hidden_act")
    non_negative_fields = (
        *VisionLanguageConfig.non_negative_fields,
        "visual_layer_norm_eps",
        "coattention_layer_norm_eps",
        "num_task_tokens",
        "num_visual_token_types",
    )
    probability_fields = (
        *VisionLanguageConfig.probability_fields,
        "visual_hidden_dropout_prob",
        "visual_attention_probs_dropout_prob",
        "visual_embedding_dropout_prob",
    )

    global_region: str | None = "first"
    region_targets: dict[str, float | int] = field(default_factory=lambda: {"kl": 1.0})
    pooler_act: str = "relu"
    fusion_method: str = "mul"
    fusion_dropout_prob: float | int = 0.1
    visual_hidden_size: int = 1024
    visual_num_hidden_layers: int = 6
    visual_num_attention_heads: int = 8
    visual_intermediate_size: int = 1024
    visual_hidden_act: str = "gelu"
    visual_hidden_dropout_prob: float | int = 0.1
    visual_attention_probs_dropout_prob: float | int = 0.1
    visual_embedding_dropout_prob: float | int | None = None
    visual_layer_norm_eps: float = 1e-12
    visual_location_size: int = 5
    num_visual_token_types: int = 0
    coattention_hidden_size: int = 1024
    coattention_num_attention_heads: int = 8
    coattention_layer_norm_eps: float = 1e-12
    coattention_dropout_stream: str = "key"
    text_coattention_ids: list[int] | tuple[int, ...] = (6, 7, 8, 9, 10, 11)
    visual_coattention_ids: list[int] | tuple[int, ...] = (0, 1, 2, 3, 4, 5)
    use_coattention: bool = True
    pooler_size: int | None = None
    num_task_tokens: int = 0
    dynamic_attention: bool = False
    frozen_text_layers: int = 0
    frozen_visual_layers: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        """Normalise what JSON cannot tell apart, then check the fields against each other."""
        self.text_coattention_ids = list(self.text_coattention_ids)
        self.visual_coattention_ids = list(self.visual_coattention_ids)
        if self.pooler_size is None:
            self.pooler_size = self.coattention_hidden_size
        if self.visual_embedding_dropout_prob is None:
            self.visual_embedding_dropout_prob = self.hidden_dropout_prob
        self.check_consistency()
        super().__post_init__(**kwargs)

    def check_consistency(self) -> None:
        """Raise a `ValueError` that names the fields when values contradict each other."""
        super().check_consistency()
        self._check_divisible("visual_hidden_size", "visual_num_attention_heads")
        self._check_divisible("coattention_hidden_size", "coattention_num_attention_heads")
        self._check_one_of("visual_location_size", LOCATION_SIZES)
        self._check_one_of("coattention_dropout_stream", ("key", "query"))
        if self.num_images == 2 and self.image_pair_method == "sequence" and self.num_visual_token_types < 2:
            raise ValueError(
                f"image_pair_method 'sequence' tells two images apart by their visual types: num_visual_token_types "
                f"must be at least 2, got {self.num_visual_token_types}"
            )
        for name in self.multi_task_heads if self.num_task_tokens else ():
            if not 0 <= self.task_id(name) < self.num_task_tokens:
                raise ValueError(
                    f"multi_task_heads[{name!r}] has the task id {self.task_id(name)}, but num_task_tokens is "
                    f"{self.num_task_tokens}"
                )
        if len(self.text_coattention_ids) != len(self.visual_coattention_ids):
            raise ValueError(
                f"text_coattention_ids {self.text_coattention_ids} and visual_coattention_ids "
                f"{self.visual_coattention_ids} must name as many layers: each pair is one co-attention layer"
            )
        self._check_coattention_ids("text_coattention_ids", "num_hidden_layers", "frozen_text_layers")
        self._check_coattention_ids("visual_coattention_ids", "visual_num_hidden_layers", "frozen_visual_layers")

    def _check_coattention_ids(self, ids_field: str, layers_field: str, frozen_field: str) -> None:
        ids, layers, frozen = getattr(self, ids_field), getattr(self, layers_field), getattr(self, frozen_field)
        if ids != sorted(ids) or any(not 0 <= layer <= layers for layer in ids):
            raise ValueError(f"{ids_field} must rise from 0 to at most {layers_field} ({layers}), got {ids}")
        if not 0 <= frozen <= (ids[0] if ids else layers):
            raise ValueError(
                f"{frozen_field} ({frozen}) must lie between 0 and the first of {ids_field} ({ids}): layers above a "
                "co-attention layer cannot be frozen without freezing the other stream"
            )
