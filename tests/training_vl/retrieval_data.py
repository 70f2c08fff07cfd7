"""Photos whose captions name what their features show, for tests of retrieval: shards, captions, a tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from transformers import BertTokenizer

from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from tests.random_regions import random_regions

FEATURES, TRAIN, VALIDATION = 24, 160, 20
COLOURS = ("red", "blue", "green", "white", "black", "brown", "yellow", "grey")
THINGS = ("dog", "cat", "horse", "boat", "car", "tree", "ball", "hat")

SIZES: dict[str, dict[str, Any]] = {
    "both": {
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 24,
        "vocab_size": len(COLOURS) + len(THINGS) + 8,
        "visual_embedding_dim": FEATURES,
        "pooler_size": 10,
        "pooler_act": "linear",
        "initializer_range": 0.03,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
        "fusion_method": "mul",
    },
    "vilbert": {
        "visual_hidden_size": 32,
        "visual_num_hidden_layers": 1,
        "visual_num_attention_heads": 2,
        "visual_intermediate_size": 32,
        "coattention_hidden_size": 16,
        "coattention_num_attention_heads": 2,
        "text_coattention_ids": [1],
        "visual_coattention_ids": [1],
        "region_targets": {},
        "visual_hidden_dropout_prob": 0.0,
        "visual_attention_probs_dropout_prob": 0.0,
    },
    "visualbert": {"bypass_transformer": True},
}


def write_photos(folder: Path) -> Path:
    """Shards `folder/shards`, `folder/captions.jsonl` with the splits train and val, and `folder/tokenizer`."""
    rng = np.random.default_rng(5)
    directions = rng.standard_normal((len(COLOURS) + len(THINGS), FEATURES))
    metadata = RegionFeaturesMetadata(feature_dim=FEATURES, num_classes=5, has_global_region=True)
    words = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "the", "there", *COLOURS, *THINGS)
    with RegionShardWriter(folder / "shards", metadata) as writer, (folder / "captions.jsonl").open("w") as file:
        for number in range(TRAIN + VALIDATION):
            colour, thing = rng.integers(len(COLOURS)), rng.integers(len(THINGS))
            image = random_regions(3, feature_dim=FEATURES, seed=number, has_global_region=True)
            shown = directions[colour] + directions[len(COLOURS) + thing] + 0.2 * rng.standard_normal(FEATURES)
            features = np.concatenate([shown[None].astype(np.float16), image.features[1:]])
            writer.write(
                random_regions(3, feature_dim=FEATURES, seed=number, has_global_region=True, features=features)
            )
            names = f"{COLOURS[colour]} {THINGS[thing]}"
            row = {
                "image_id": image.image_id,
                "split": "train" if number < TRAIN else "val",
                "captions": [f"a {names}", f"there the {names}"],
            }
            file.write(json.dumps(row) + "\n")
    BertTokenizer(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder / "tokenizer")
    return folder


def arguments_of(folder: Path, output_dir: Path, config: str, *more: str) -> list[str]:
    """The command line of a run on these photos; `more` wins."""
    return [
        *("--task", "retrieval", "--config", config, "--config_overrides", json.dumps(SIZES["both"])),
        *("--overrides_by_model", json.dumps({name: SIZES[name] for name in ("vilbert", "visualbert")})),
        *("--tokenizer", str(folder / "tokenizer"), "--regions", str(folder / "shards")),
        *("--captions", str(folder / "captions.jsonl"), "--train_split", "train", "--val_split", "val"),
        *("--max_text_length", "12", "--batch_size", "10", "--max_steps", "6", "--logging_steps", "1"),
        *("--use_cpu", "--tensorboard", "false", "--output_dir", str(output_dir), *more),
    ]
