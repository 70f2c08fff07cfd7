"""Small configurations and inputs of both models, for tests of what they compute."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from configuration_vl import ViLBertConfig, VisualBertConfig
from modeling_vl import ViLBertForPreTraining, VisualBertForPreTraining

BATCH, TEXT, REGIONS, FEATURES, VOCABULARY, CLASSES = 3, 9, 6, 20, 99, 7
PRETRAINING_CLASSES = [ViLBertForPreTraining, VisualBertForPreTraining]

_TEXT_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 24,
    "visual_embedding_dim": FEATURES,
    "num_region_classes": CLASSES,
}


def vilbert_config(**fields: Any) -> ViLBertConfig:
    """Two co-attention layers between three text and two image layers, streams of different widths and heads."""
    return ViLBertConfig(
        **{
            **_TEXT_SIZES,
            "visual_hidden_size": 24,
            "visual_num_hidden_layers": 2,
            "visual_num_attention_heads": 2,
            "visual_intermediate_size": 28,
            "coattention_hidden_size": 18,
            "coattention_num_attention_heads": 3,
            "text_coattention_ids": [1, 2],
            "visual_coattention_ids": [0, 1],
            **fields,
        }
    )


def visualbert_config(**fields: Any) -> VisualBertConfig:
    """Three layers, no region targets."""
    return VisualBertConfig(**{**_TEXT_SIZES, **fields})


def tiny_model(model_class: type, **fields: Any) -> Any:
    """A model in evaluation mode whose weights are large enough to make differences show."""
    torch.manual_seed(0)
    config = visualbert_config(**fields) if model_class.__name__.startswith("VisualBert") else vilbert_config(**fields)
    model = model_class(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model.eval()


def tiny_inputs(padded: bool = True, seed: int = 1) -> dict[str, Tensor]:
    """Inputs both models take; with padding in texts and images, at different rows."""
    generator = torch.Generator().manual_seed(seed)
    inputs = {
        "input_ids": torch.randint(1, VOCABULARY, (BATCH, TEXT), generator=generator),
        "token_type_ids": torch.randint(0, 2, (BATCH, TEXT), generator=generator),
        "visual_embeds": torch.randn(BATCH, REGIONS, FEATURES, generator=generator),
        "visual_locations": torch.rand(BATCH, REGIONS, 5, generator=generator),
    }
    if padded:
        inputs["attention_mask"] = torch.ones(BATCH, TEXT, dtype=torch.long)
        inputs["visual_attention_mask"] = torch.ones(BATCH, REGIONS, dtype=torch.long)
        inputs["attention_mask"][1, 5:] = 0
        inputs["attention_mask"][2, 8:] = 0
        inputs["visual_attention_mask"][0, 4:] = 0
        inputs["visual_attention_mask"][1, 2:] = 0
    return inputs


def tiny_labels(regions: bool, seed: int = 2) -> dict[str, Tensor]:
    """Labels at real places of `tiny_inputs`; with `regions` also those of masked region modelling."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.full((BATCH, TEXT), -100)
    labels[0, 3], labels[0, 8], labels[1, 1], labels[2, 6] = 7, 12, 3, 90
    batch = {"labels": labels, "sentence_image_labels": torch.tensor([0, 1, 0])}
    if regions:
        region_labels = torch.full((BATCH, REGIONS), -100)
        region_labels[0, 1] = region_labels[0, 3] = region_labels[2, 5] = 1
        probabilities = torch.rand(BATCH, REGIONS, CLASSES, generator=generator)
        batch |= {
            "region_labels": region_labels,
            "region_class_probs": probabilities / probabilities.sum(-1, keepdim=True),
        }
    return batch


def places(inputs: dict[str, Tensor], name: str) -> Tensor:
    """Boolean mask of the real places of "text", "regions" or "joint"; all places when nothing is padded."""
    text = inputs.get("attention_mask", torch.ones(inputs["input_ids"].shape)).bool()
    regions = inputs.get("visual_attention_mask", torch.ones(inputs["visual_embeds"].shape[:2])).bool()
    return {"text": text, "regions": regions, "joint": torch.cat((text, regions), dim=1)}[name]
