"""Writing a converted checkpoint as a folder that the Auto classes load."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from transformers import AutoTokenizer, BertTokenizer
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

import modeling_vl
from datasets_vl.code_version import code_commit, library_versions
from datasets_vl.record_files import read_record, write_record
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor

from .report import Conversion

CONVERSION_NAME = "conversion.json"


@dataclass(frozen=True)
class ConversionRecord:
    """What a converted folder says of its weights.

    Attributes:
        code_base: Where they come from, the `name` of one of `modeling_vl.conversion.CODE_BASES`.
        checkpoint: Name of the checkpoint's file or folder.
        architecture: Our class that holds them.
        renamed: How many weights were taken over, under their old names or new ones.
        dropped: How many were left out.
        filled: How many of our weights that the code base has not became zeros.
        notes: What else the conversion said.
        code_commit: See `datasets_vl.code_version.code_commit`.
        versions: Of the libraries, by name.
    """

    code_base: str
    checkpoint: str
    architecture: str
    renamed: int
    dropped: int
    filled: int
    notes: list[str]
    code_commit: str | None
    versions: dict[str, str]


def read_conversion_record(folder: str | Path) -> ConversionRecord | None:
    """Read what `write_folder` says of the weights.

    Args:
        folder: With the model.

    Returns:
        The record; None where there is none.

    Raises:
        ValueError: If the file holds something else.
    """
    return read_record(Path(folder) / CONVERSION_NAME, ConversionRecord, "a conversion")


def build_model(conversion: Conversion) -> PreTrainedModel:
    """The model that a conversion describes, holding its weights.

    Args:
        conversion: The converted checkpoint.

    Returns:
        The model, in evaluation mode.
    """
    model = getattr(modeling_vl, conversion.report.architecture)(conversion.config)
    # Not strict: tied weights are left out. That nothing else is missing was checked when converting.
    model.load_state_dict(conversion.state, strict=False)
    return model.eval()


def read_tokenizer(path: str | Path, vocab_size: int) -> PreTrainedTokenizerBase:
    """Read the tokenizer of a checkpoint.

    Args:
        path: A tokenizer's folder, or BERT's `vocab.txt`.
        vocab_size: Word pieces of the model.

    Returns:
        The tokenizer.

    Raises:
        FileNotFoundError: There is neither.
        ValueError: When it knows more word pieces than the model.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no tokenizer {path}: give a folder or a vocab.txt")
    tokenizer = AutoTokenizer.from_pretrained(path) if path.is_dir() else BertTokenizer(vocab=str(path))
    if len(tokenizer) > vocab_size:
        raise ValueError(f"the tokenizer {path} knows {len(tokenizer)} word pieces, the model only {vocab_size}")
    return tokenizer


def check_free(folder: str | Path) -> None:
    """Refuse a folder that has something in it already.

    Args:
        folder: Where a conversion shall go.

    Raises:
        FileExistsError: If it is not empty, or is a file.
    """
    folder = Path(folder)
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty: name a new folder")


def write_folder(
    conversion: Conversion, folder: str | Path, checkpoint: str, tokenizer: PreTrainedTokenizerBase | None = None
) -> Path:
    """Write config, weights, processor and `conversion.json`, which says where the weights come from.

    Args:
        conversion: The converted checkpoint.
        folder: Where to write; created when missing.
        checkpoint: Name of the checkpoint's file or folder.
        tokenizer: The tokenizer; from now on it cuts texts at the model's longest. Without one only the feature
            extractor is written, and `AutoProcessor` finds nothing.

    Returns:
        The folder.

    Raises:
        FileExistsError: When there is something in it already.
    """
    folder, config = Path(folder), conversion.config
    check_free(folder)
    model = build_model(conversion)
    model.save_pretrained(folder)
    if tokenizer is not None:
        # A vocab.txt says nothing of a longest text, so its tokenizer would cut none.
        tokenizer.model_max_length = min(tokenizer.model_max_length, config.max_position_embeddings)
    extractor = RegionFeatureExtractor.from_model_config(config)
    (extractor if tokenizer is None else RegionTextProcessor(extractor, tokenizer)).save_pretrained(folder)
    report = conversion.report
    record = ConversionRecord(
        code_base=report.code_base,
        checkpoint=checkpoint,
        architecture=report.architecture,
        renamed=len(report.renamed),
        dropped=len(report.dropped),
        filled=len(report.filled),
        notes=report.notes,
        code_commit=code_commit(),
        versions=library_versions(),
    )
    write_record(folder / CONVERSION_NAME, record)
    return folder
