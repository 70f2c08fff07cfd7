"""Models of one layer a stream, for tests that trace them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import BertTokenizer

import modeling_vl
from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.tiny_models import tiny_model

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog", "and", "what", "is", "it"]

ONE_LAYER: dict[str, dict[str, Any]] = {
    "ViLBert": {
        "num_hidden_layers": 1,
        "visual_num_hidden_layers": 1,
        "text_coattention_ids": [1],
        "visual_coattention_ids": [1],
    },
    "VisualBert": {"num_hidden_layers": 1},
}


def small_model(name: str, **fields: Any) -> Any:
    """A model of the class `name`, in evaluation mode."""
    kind = "VisualBert" if name.startswith("VisualBert") else "ViLBert"
    return tiny_model(getattr(modeling_vl, name), **{**ONE_LAYER[kind], **fields})


def save_small_model(folder: Path, name: str, **fields: Any) -> Path:
    """Write a model of the class `name` with a processor that knows some words."""
    model = small_model(name, **fields)
    model.save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    tokenizer = BertTokenizer(vocab=str(folder / "vocab.txt"))
    (folder / "vocab.txt").unlink()
    RegionTextProcessor(RegionFeatureExtractor.from_model_config(model.config), tokenizer).save_pretrained(folder)
    return folder
