"""A WordPiece tokenizer that knows exactly the words of some texts, for small models trained from scratch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from transformers import BertTokenizer

from datasets_vl.captions import read_captions

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_word_tokenizer(captions: str | Path, folder: str | Path) -> None:
    """Make the tokenizer of a caption file and save it, see `save_tokenizer_of`.

    Args:
        captions: A caption file, see `datasets_vl.captions.read_captions`.
        folder: Where the tokenizer goes.
    """
    if not _is_there(folder):
        save_tokenizer_of(read_captions(captions).texts.to_pylist(), folder)


def save_tokenizer_of(texts: Iterable[str], folder: str | Path) -> None:
    """Make the tokenizer and save it; one that is there already is left alone.

    Args:
        texts: Whose words it shall know.
        folder: Where the tokenizer goes.
    """
    if _is_there(folder):
        return
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    vocabulary = {word: number for number, word in enumerate((*SPECIAL_TOKENS, *words))}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)


def _is_there(folder: str | Path) -> bool:
    return (Path(folder) / "tokenizer_config.json").is_file()
