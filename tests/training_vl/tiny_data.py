"""A folder with everything a pre-training run needs: a few shards, captions in two splits, a tokenizer, a recipe."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from transformers import BertTokenizer

from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from tests.random_regions import random_regions

FEATURES, CLASSES, IMAGES, VALIDATION = 8, 5, 26, 6
WORDS = ("a", "red", "blue", "green", "circle", "square", "star", "left", "right", "of", "and", "the", "big", "small")

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "max_position_embeddings": 24,
    "visual_embedding_dim": FEATURES,
    "num_region_classes": CLASSES,
    "vocab_size": len(WORDS) + 5,
}
IMAGE_SIZES = {
    "visual_hidden_size": 16,
    "visual_num_hidden_layers": 1,
    "visual_num_attention_heads": 2,
    "visual_intermediate_size": 16,
    "coattention_hidden_size": 16,
    "coattention_num_attention_heads": 2,
    "text_coattention_ids": [1],
    "visual_coattention_ids": [0],
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "fusion_dropout_prob": 0.0}
NO_IMAGE_DROPOUT = {"visual_hidden_dropout_prob": 0.0, "visual_attention_probs_dropout_prob": 0.0}


def write_data(folder: Path) -> Path:
    """Shards `folder/shards` of 10 images, `folder/captions.jsonl` and `folder/tokenizer`."""
    rng = np.random.default_rng(0)
    metadata = RegionFeaturesMetadata(feature_dim=FEATURES, num_classes=CLASSES)
    with RegionShardWriter(folder / "shards", metadata, shard_size=10) as writer:
        for number in range(IMAGES):
            writer.write(random_regions(2 + number % 4, feature_dim=FEATURES, num_classes=CLASSES, seed=number))
    with (folder / "captions.jsonl").open("w") as file:
        for number in range(IMAGES):
            captions = [" ".join(rng.choice(WORDS, size=4 + k)) for k in range(2 + number % 2)]
            split = "val" if number < VALIDATION else "train"
            file.write(json.dumps({"image_id": f"image-{number}", "split": split, "captions": captions}) + "\n")
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS)
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder / "tokenizer")
    return folder


def write_recipe(
    folder: Path, name: str, *, config: str = "vilbert", overrides: dict[str, Any] | None = None, **arguments: Any
) -> Path:
    """A recipe over the data in `folder`; `arguments` win."""
    sizes = {**SIZES, **(IMAGE_SIZES if config == "vilbert" else {}), **(overrides or {})}
    recipe = {
        "config": config,
        "config_overrides": sizes,
        "tokenizer": str(folder / "tokenizer"),
        "regions": str(folder / "shards"),
        "captions": str(folder / "captions.jsonl"),
        "train_split": "train",
        "batch_size": 4,
        "max_steps": 6,
        "learning_rate": 0.01,
        "logging_steps": 1,
        "use_cpu": True,
        "tensorboard": False,
        **arguments,
    }
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(recipe))
    return path
