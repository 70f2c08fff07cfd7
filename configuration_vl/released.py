"""Ready-made configurations of every released ViLBERT and VisualBERT size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .configuration_vilbert import ViLBertConfig
from .configuration_vision_language import VisionLanguageConfig
from .configuration_visualbert import VisualBertConfig

BERT_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}


def vilbert_coattention(layers: int, **fields: Any) -> ViLBertConfig:
    """ViLBERT with co-attention in its last `layers` text layers (`bert_*_{N}layer_{N}conect.json`).

    Args:
        layers: Number of co-attention layers, and of image layers.
        **fields: Further fields, the text stream's size among them.

    Returns:
        The configuration.
    """
    text_layers = fields.get("num_hidden_layers", ViLBertConfig.num_hidden_layers)
    return ViLBertConfig(
        visual_num_hidden_layers=layers,
        text_coattention_ids=list(range(text_layers - layers, text_layers)),
        visual_coattention_ids=list(range(layers)),
        **fields,
    )


def _volta(config_class: Callable[..., VisionLanguageConfig], **fields: Any) -> VisionLanguageConfig:
    return config_class(
        global_region="first",
        region_targets={"kl": 1.0},
        pooler_act="relu",
        fusion_method="mul",
        fusion_dropout_prob=0.1,
        pooler_size=1024,
        **fields,
    )


def _volta_controlled_vilbert() -> VisionLanguageConfig:
    return _volta(
        ViLBertConfig,
        visual_hidden_size=768,
        visual_num_attention_heads=12,
        visual_intermediate_size=3072,
        coattention_hidden_size=768,
        coattention_num_attention_heads=12,
        coattention_dropout_stream="query",
    )


RELEASED_CONFIGS: dict[str, Callable[[], VisionLanguageConfig]] = {
    **{f"vilbert-base-{n}": lambda n=n: vilbert_coattention(n) for n in (2, 4, 6, 8)},
    **{f"vilbert-large-{n}": lambda n=n: vilbert_coattention(n, **BERT_LARGE) for n in (2, 4, 6)},
    "volta-ctrl-vilbert": _volta_controlled_vilbert,
    "volta-ctrl-visualbert": lambda: _volta(VisualBertConfig, visual_token_type_id=1),
    "visualbert-vqa": lambda: VisualBertConfig(visual_embedding_dim=2048),
    "visualbert-nlvr2": lambda: VisualBertConfig(visual_embedding_dim=1024),
    "visualbert-vcr": lambda: VisualBertConfig(visual_embedding_dim=512),
    "visualbert-flickr": lambda: VisualBertConfig(visual_embedding_dim=2054),
}
"""Released sizes by name: vilbert_beta and vilbert-multi-task (base and large, N co-attention layers), VOLTA's
controlled pair, and uclanlp's VisualBERT with its four kinds of region features."""


def released_config(name: str) -> VisionLanguageConfig:
    """The configuration of a released model.

    Args:
        name: A key of `RELEASED_CONFIGS`, such as "vilbert-base-6" or "visualbert-vqa".

    Returns:
        A fresh configuration.

    Raises:
        ValueError: When no released model has that name.
    """
    if name not in RELEASED_CONFIGS:
        raise ValueError(f"no released model is called {name!r}; known names: {', '.join(RELEASED_CONFIGS)}")
    return RELEASED_CONFIGS[name]()
