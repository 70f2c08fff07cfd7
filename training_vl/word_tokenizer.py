"""A WordPiece tokenizer that knows exactly the words of some captions, for small models trained from scratch."""

from __future__ import annotations

import re
from pathlib import Path

from transformers import BertTokenizer

from datasets_vl.captions import read_captions

SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def save_word_tokenizer(captions: str | Path, folder: str | Path) -> None:
    """Make the tokenizer and save it; one that is there already is left alone.

    Args:
        captions: A caption file, see `datasets_vl.captions.read_captions`.
        folder: Where the tokenizer goes.
    """
    folder = Path(folder)
    if (folder / "tokenizer_config.json").is_file():
        return
    texts = read_captions(captions).texts.to_pylist()
    words = sorted({word for text in texts for word in re.findall(r"\w+|[^\w\s]", text.lower())})
    vocabulary = {word: number for number, word in enumerate((*SPECIAL_TOKENS, *words))}
    BertTokenizer(vocab=vocabulary).save_pretrained(folder)
