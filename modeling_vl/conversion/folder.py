"""Writing a converted checkpoint as a folder that the Auto classes load."""

from __future__ import annotations

from pathlib import Path

from transformers import AutoTokenizer, BertTokenizer
from transformers.modeling_utils import PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

import modeling_vl
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor

from .report import Conversion

CARD = """---
library_name: transformers
license: other
license_name: state-the-licence-of-these-weights
license_link: link-to-the-licence-of-these-weights
tags:
- vision-language
- {model_type}
---

# {architecture}, converted from {code_base}

* Weights: `{checkpoint}`. Their authors, training data and licence: to be stated by whoever publishes this folder; the
  licence of the conversion code says nothing about them.
* Region features: {visual_embedding_dim} numbers a region. The detector they come from: to be stated.
* Tokenizer: {tokenizer}.

```python
{imports}

model = {auto_class}.from_pretrained("this folder")
{processor}```
"""
CARD_PROCESSOR = 'processor = AutoProcessor.from_pretrained("this folder")\n'


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
    """Write config, weights, processor and the stub of a card.

    Args:
        conversion: The converted checkpoint.
        folder: Where to write; created when missing.
        checkpoint: Name of the checkpoint, for the card.
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
    auto_class, imports = _how_to_load(conversion.report.architecture, tokenizer is not None)
    card = CARD.format(
        model_type=config.model_type,
        architecture=conversion.report.architecture,
        code_base=conversion.report.code_base,
        checkpoint=checkpoint,
        visual_embedding_dim=config.visual_embedding_dim,
        tokenizer="none was given" if tokenizer is None else "as given at conversion",
        auto_class=auto_class,
        imports=imports,
        processor="" if tokenizer is None else CARD_PROCESSOR,
    )
    (folder / "README.md").write_text(card, encoding="utf-8")
    return folder


def _how_to_load(architecture: str, with_processor: bool) -> tuple[str, str]:
    """The Auto class of an architecture, and the lines that import what the card uses."""
    _, has_head, task = architecture.partition("For")
    auto_class = f"AutoModelFor{task}" if has_head else "AutoModel"
    theirs = ["AutoProcessor"] if with_processor else []
    if hasattr(modeling_vl, auto_class):
        ours = f"from modeling_vl import {auto_class}"
        return auto_class, "\n".join(([f"from transformers import {theirs[0]}"] if theirs else []) + [ours])
    return auto_class, f"import modeling_vl\nfrom transformers import {', '.join([auto_class, *theirs])}"
