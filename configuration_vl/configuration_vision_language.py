"""What ViLBERT and VisualBERT have in common: the text stream, the regions and the pre-training targets."""

from dataclasses import field
from math import inf
from typing import ClassVar

from huggingface_hub.dataclasses import strict  # reads the annotations themselves: no postponed ones in this file

from .configuration_task_heads import TaskHeadConfig
from .region_conventions import GLOBAL_REGION_PLACES
from .region_targets import REGION_TARGETS

FUSION_METHODS = ("mul", "sum", "text")
TEXT_POOLINGS = ("first", "mean")


@strict
class VisionLanguageConfig(TaskHeadConfig):
    """Fields shared by `ViLBertConfig` and `VisualBertConfig`; those of the task heads are in `TaskHeadConfig`.

    Keyword arguments that are no fields are kept as attributes, as transformers does with entries of folders that
    other versions wrote; one that looks like a misspelt field is said in a warning.

    Args:
        vocab_size: Number of word pieces.
        hidden_size: Width of the text stream (VisualBERT: of the only stream).
        num_hidden_layers: Number of text layers (VisualBERT: of all layers).
        num_attention_heads: Attention heads of a text layer.
        intermediate_size: Width of the text feed-forward layers.
        hidden_act: Activation of the text feed-forward layers and of the prediction heads' transforms.
        hidden_dropout_prob: Dropout after embeddings and output projections of the text stream.
        attention_probs_dropout_prob: Dropout on the attention weights of the text stream.
        max_position_embeddings: Longest text, in word pieces.
        type_vocab_size: Number of token types (segments).
        initializer_range: Standard deviation of freshly drawn weights.
        layer_norm_eps: Epsilon of the text stream's layer norms.
        pad_token_id: Word piece that pads texts (BERT: 0).
        tie_word_embeddings: Whether the vocabulary decoder shares the word embeddings. MMF's ViLBERT leaves it free.
        visual_embedding_dim: Width of one region's feature vector. Official VisualBERT checkpoints want 2048 (VQA),
            1024 (NLVR2), 512 (VCR) or 2054 (Flickr30k: 2048 and six box numbers); ViLBERT wants 2048.
        feature_power: What the sizes of a feature's numbers are raised to, signs kept (Perronnin et al., 2010): 1 in
            all originals; 0.5 evens out features with a few large numbers. The feature extractor does it.
        global_region: Where the region that stands for the whole image lies: "first" (ViLBERT, VOLTA), "last" (a VOLTA
            option) or None when every region is a detection (uclanlp, MMF).
        global_region_loss: Whether the global region may be labelled and counts in the masked region loss. The
            originals never predict it; MMF predicts every row it is given.
        region_targets: What masked region modelling predicts, as target name to loss weight; names are the keys of
            `configuration_vl.region_targets.REGION_TARGETS`. Empty for no region modelling.
        num_region_classes: Classes of the detector's distribution (Visual Genome: 1600 and background).
        num_object_classes: Object names of the detector, for the target "object" (VOLTA: 1600).
        num_attribute_classes: Attribute names of the detector, for the target "attribute" (VOLTA: 400).
        num_region_negatives: Negatives a masked region is contrasted with under the target "nce"; not read without it.
        region_head_layer_norm: Whether the region head's transform ends in a layer norm (VOLTA's `image_head_ln`).
        pooler_act: Activation of the poolers: "relu" (ViLBERT, VOLTA) or "tanh" (BERT, VisualBERT).
        text_pooling: What the text pooler reads: the "first" state (all originals), or the "mean" of the text's
            states, for text layers that were trained as a sentence encoder.
        fusion_method: How the pooled text and image become the vector that judges their match: "mul", "sum" or "text"
            (the text alone; no visual pooler is built).
        fusion_dropout_prob: Dropout on the fused vector: fixed to 0.1 in the ViLBERT code bases and VOLTA, none in
            uclanlp's VisualBERT.
        packed_execution: Whether layers run on real tokens and regions only, without padding. It changes the speed and
            not one unmasked number, nor a loss: labels on padding are refused. Compiled and exported graphs take the
            padded path anyway.
    """

    keys_to_ignore_at_inference: ClassVar[list[str]] = [
        "mlm_loss",
        "region_loss",
        "region_losses",
        "alignment_loss",
        "hidden_states",
        "visual_hidden_states",
        "attentions",
        "visual_attentions",
        "text_attends_visual",
        "visual_attends_text",
    ]

    size_fields: ClassVar[tuple[str, ...]] = (
        *TaskHeadConfig.size_fields,
        "vocab_size",
        "hidden_size",
        "num_hidden_layers",
        "num_attention_heads",
        "intermediate_size",
        "max_position_embeddings",
        "type_vocab_size",
        "visual_embedding_dim",
        "num_region_classes",
        "num_object_classes",
        "num_attribute_classes",
    )
    activation_fields: ClassVar[tuple[str, ...]] = (*TaskHeadConfig.activation_fields, "hidden_act", "pooler_act")
    non_negative_fields: ClassVar[tuple[str, ...]] = (
        *TaskHeadConfig.non_negative_fields,
        "initializer_range",
        "layer_norm_eps",
        "num_region_negatives",
    )
    probability_fields: ClassVar[tuple[str, ...]] = (
        *TaskHeadConfig.probability_fields,
        "hidden_dropout_prob",
        "attention_probs_dropout_prob",
        "fusion_dropout_prob",
    )

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    hidden_dropout_prob: float | int = 0.1
    attention_probs_dropout_prob: float | int = 0.1
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    initializer_range: float = 0.02
    layer_norm_eps: float = 1e-12
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = True
    visual_embedding_dim: int = 2048
    feature_power: float | int = 1.0
    global_region: str | None = None
    global_region_loss: bool = False
    region_targets: dict[str, float | int] = field(default_factory=dict)
    num_region_classes: int = 1601
    num_object_classes: int = 1600
    num_attribute_classes: int = 400
    num_region_negatives: int = 128
    region_head_layer_norm: bool = True
    pooler_act: str = "tanh"
    text_pooling: str = "first"
    fusion_method: str = "text"
    fusion_dropout_prob: float | int = 0.0
    packed_execution: bool = True

    def region_target_size(self, target: str) -> int:
        """Width of the region head's output for one target.

        Args:
            target: A key of `region_targets`.

        Returns:
            Number of outputs per region.
        """
        return getattr(self, REGION_TARGETS[target].size_field)

    def check_consistency(self) -> None:
        """Raise a `ValueError` that names the fields when values contradict each other."""
        super().check_consistency()
        self._check_one_of("global_region", GLOBAL_REGION_PLACES)
        if not 0 < self.feature_power < inf:
            raise ValueError(f"feature_power must be positive and finite, got {self.feature_power}")
        self._check_one_of("fusion_method", FUSION_METHODS)
        self._check_one_of("text_pooling", TEXT_POOLINGS)
        if isinstance(self.vocab_size, int):
            self._check_range(
                "pad_token_id", 0, self.vocab_size, f"must be None or below vocab_size {self.vocab_size}"
            )
        self._check_divisible("hidden_size", "num_attention_heads")
        unknown = sorted(set(self.region_targets) - set(REGION_TARGETS))
        if unknown:
            raise ValueError(f"region_targets names {unknown}; known targets are {sorted(REGION_TARGETS)}")
        unweighted = sorted(name for name, weight in self.region_targets.items() if not 0 < weight < inf)
        if unweighted:
            raise ValueError(
                f"region_targets gives {unweighted} no positive, finite weight; leave such a target out instead"
            )
        if "nce" in self.region_targets:
            self._check_range("num_region_negatives", 1, inf, "must be at least 1 for the region target 'nce'")
        if self.global_region_loss and self.global_region is None:
            raise ValueError("global_region_loss=True needs a global region, but global_region is None")
        if self.global_region_loss and not self.region_targets:
            raise ValueError("global_region_loss=True has no loss to add to: region_targets is empty")
