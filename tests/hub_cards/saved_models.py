"""Folders of tiny models, with what a training or a conversion leaves beside them, and what people say of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import BertTokenizer, PreTrainedModel

from modeling_vl.conversion import CODE_BASES, convert
from modeling_vl.conversion.folder import write_folder
from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.modeling_vl.conversion.small_checkpoints import checkpoint
from tests.tiny_models import tiny_model
from training_vl.checkpointing import RunState
from training_vl.run_record import write_run_record

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "on", "the", "grass", "left", "what", "is", "?")

GIVEN = {
    "weights_license": "cc-by-4.0",
    "data_license": "CC0",
    "training_data": "nothing, these are random weights",
    "language": ["en"],
    "detector": "a generator of random numbers",
    "scores": ["none"],
    "intended_use": "Tests.",
    "limits": "Everything else.",
}
"""What a person says of a trained model."""


def tokenizer() -> BertTokenizer:
    """Of `WORDS`."""
    return BertTokenizer(vocab={word: number for number, word in enumerate(WORDS)}, model_max_length=24)


def save_model(folder: Path, model_class: type[PreTrainedModel], **fields: Any) -> Path:
    """A tiny model and its processor; `fields` change its config."""
    model = tiny_model(model_class, **fields)
    model.save_pretrained(folder)
    mask = model.config.answer_position == "mask" and model_class.__name__.endswith("VisualQuestionAnswering")
    extractor = RegionFeatureExtractor.from_model_config(model.config)
    RegionTextProcessor(extractor, tokenizer(), append_mask=mask).save_pretrained(folder)
    return folder


def add_run(folder: Path, **arguments: Any) -> None:
    """What a training run says of itself."""
    arguments = {"batch_size": 4, "learning_rate": 0.01, "output_dir": str(folder), "from_bert": None, **arguments}
    write_run_record(folder, RunState(6, 10, 2, arguments), torch.device("cpu"), "0123abc")


def save_converted(folder: Path, kind: str) -> Path:
    """A converted checkpoint of `CODE_BASES[kind]`."""
    conversion = convert(CODE_BASES[kind], *checkpoint(kind))
    return write_folder(conversion, folder, "pytorch_model.bin", tokenizer())


def python_blocks(card: str) -> list[str]:
    """The Python code of a card."""
    return re.findall(r"```python\n(.*?)```", card, re.DOTALL)
