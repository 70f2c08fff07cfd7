"""Trying a command out: a run of the same kind, but a tiny model and a few steps; on built-in scenes without data."""

from __future__ import annotations

import dataclasses
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock
from transformers import AutoTokenizer

from configuration_vl import ViLBertConfig
from configuration_vl.configuration_vision_language import VisionLanguageConfig
from datasets_vl.convert import Conversion, convert
from datasets_vl.scene_files import write_scenes

from .arguments import PreTrainingArguments
from .data_setup import open_regions
from .model_setup import load_config
from .word_tokenizer import save_word_tokenizer

SCENES = {"train": 40, "val": 8}

_TEXT_SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "pooler_size": 32,
}
_IMAGE_SIZES = {
    "visual_hidden_size": 32,
    "visual_num_hidden_layers": 1,
    "visual_num_attention_heads": 2,
    "visual_intermediate_size": 64,
    "coattention_hidden_size": 32,
    "coattention_num_attention_heads": 2,
    "text_coattention_ids": [1],
    "visual_coattention_ids": [0],
    "frozen_text_layers": 0,
    "frozen_visual_layers": 0,
}
_STEPS = {
    "batch_size": 24,  # divides among most numbers of processes
    "micro_batch_size": None,
    "max_steps": 4,
    "warmup_steps": 1,
    "logging_steps": 1,
    "eval_steps": 2,
    "save_steps": 2,
}


def shrink(arguments: PreTrainingArguments) -> PreTrainingArguments:
    """The same run, tiny; what it lacks of data and tokenizer is made in `output_dir`.

    Args:
        arguments: Of the run that is to be tried out.

    Returns:
        Arguments of a run of four steps from fresh weights, with a tokenizer of its own where none is named.
    """
    model, data, training = arguments.model, arguments.data, arguments.training
    folder = Path(training.output_dir) / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    # Processes that were started together make the files once.
    with FileLock(folder / ".lock"):
        if data.regions is None and data.captions is None:
            scenes = _written_scenes(folder / "scenes")
            data = replace(
                data,
                regions=str(scenes / "train"),
                val_regions=str(scenes / "val"),
                captions=str(scenes / "dataset_scenes.json"),
                train_split="train",
                val_split="val",
            )
        tokenizer = model.tokenizer
        if tokenizer is None and data.captions is not None:
            tokenizer = str(folder / "tokenizer")
            save_word_tokenizer(data.captions, tokenizer)
        metadata = open_regions(data, data.regions).metadata
    config = load_config(model)
    sizes = {
        **_TEXT_SIZES,
        **(_IMAGE_SIZES if isinstance(config, ViLBertConfig) else {}),
        "vocab_size": len(AutoTokenizer.from_pretrained(tokenizer)) if tokenizer else config.vocab_size,
        "visual_embedding_dim": metadata.feature_dim,
        "num_region_classes": metadata.num_classes or config.num_region_classes,
    }
    return PreTrainingArguments(
        replace(
            model,
            from_bert=None,
            from_pretrained=None,
            config=config.model_type,
            config_overrides={**_changed_fields(config), **sizes},
            tokenizer=tokenizer,
        ),
        data,
        replace(training, **_STEPS),
    )


def _changed_fields(config: VisionLanguageConfig) -> dict[str, Any]:
    defaults = type(config)()
    names = [field.name for field in dataclasses.fields(config)]
    return {name: getattr(config, name) for name in names if getattr(config, name) != getattr(defaults, name)}


def _written_scenes(folder: Path) -> Path:
    """A few built-in scenes, in raw files and converted."""
    if folder.is_dir():
        return folder
    partial = folder.with_name(f"{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_scenes(partial, SCENES)
    for split in SCENES:
        convert(Conversion(source=str(partial / f"scenes_{split}.tsv"), format="tsv"), partial / split)
    partial.rename(folder)
    return folder
