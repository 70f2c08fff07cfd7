"""What a converted folder says besides weights."""

from __future__ import annotations

from transformers import AutoProcessor

from modeling_vl.conversion.folder import read_tokenizer, write_folder
from tests.modeling_vl.conversion.small_checkpoints import checkpoint, convert_small


def test_texts_are_cut_at_the_longest_the_model_reads(tmp_path):
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    conversion = convert_small("vilbert_beta", *checkpoint("vilbert_beta"))
    longest = conversion.config.max_position_embeddings
    tokenizer = read_tokenizer(vocabulary, conversion.config.vocab_size)
    folder = write_folder(conversion, tmp_path / "converted", "pytorch_model.bin", tokenizer)
    processor = AutoProcessor.from_pretrained(folder)
    assert processor(text="a " * (longest + 50))["input_ids"].shape == (1, longest)
    assert processor(text="a a")["input_ids"].tolist() == [[2, 5, 5, 3]]
