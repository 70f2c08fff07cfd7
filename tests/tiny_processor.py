"""A processor for the tiny models, with texts and images it reads."""

from __future__ import annotations

from typing import Any

from transformers import BertTokenizer, PreTrainedConfig

from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.random_regions import random_regions
from tests.tiny_models import FEATURES

TEXTS = ["what is on the table ?", "a cat", "the red one on the left", "who", "is it raining here or there ?"]
IMAGES = [random_regions(count, feature_dim=FEATURES, seed=count) for count in (4, 2, 6, 3, 5)]

_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted({word for text in TEXTS for word in text.split()})]


def tiny_processor(config: PreTrainedConfig, **settings: Any) -> RegionTextProcessor:
    """A processor that knows every word of `TEXTS`; `settings` are those of `RegionFeatureExtractor`."""
    tokenizer = BertTokenizer(vocab={word: number for number, word in enumerate(_WORDS)})
    return RegionTextProcessor(RegionFeatureExtractor.from_model_config(config, **settings), tokenizer)
