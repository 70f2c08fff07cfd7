"""From characters to word pieces."""

from __future__ import annotations

import pytest
from transformers import BatchEncoding

from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.text_spans import word_piece_places
from tests.minilm import tokenizer


def test_words_of_several_pieces_pairs_and_padding():
    processor = RegionTextProcessor(RegionFeatureExtractor(), tokenizer())
    # [CLS] un ##aff ##able dog [SEP] the dog [SEP]
    encoding = processor.encode_texts(["unaffable dog", "a"], ["the dog", "b"])
    pieces = processor.tokenizer.convert_ids_to_tokens(encoding["input_ids"][0])
    places, short = word_piece_places(encoding)
    word = pieces.index("dog")
    assert places.of_span(0, 0, 9) == list(range(1, word))
    assert places.of_span(0, 2, 3) == places.of_span(0, 2, 4)[:1]
    assert places.of_span(0, 10, 13) == [word]
    assert places.of_span(1, 4, 7) == [pieces.index("dog", word + 1)]
    assert places.of_span(0, 9, 10) == []
    assert short.of_span(0, 0, 1) == [1]
    assert short.of_span(1, 0, 1) == [3]


def test_a_tokenizer_that_does_not_know_places():
    with pytest.raises(ValueError, match="does not tell which characters its word pieces come from"):
        list(word_piece_places(BatchEncoding({})))
