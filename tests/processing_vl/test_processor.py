from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoProcessor, AutoTokenizer, BertTokenizer
from transformers.configuration_utils import PreTrainedConfig

from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.region_features import InvalidRegionFeatures
from tests.minilm import minilm_folder, tokenizer
from tests.random_regions import random_regions

CLS, SEP, A, DOG, CAT = 101, 102, 1037, 3899, 4937
TEXT_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
VISUAL_INPUTS = {"visual_embeds", "visual_locations", "visual_attention_mask"}


def processor(**settings):
    return RegionTextProcessor(RegionFeatureExtractor(visual_embedding_dim=8, **settings), tokenizer())


def test_one_text_and_one_image():
    inputs = processor()(text="a dog", regions=random_regions(3))
    assert inputs.keys() == TEXT_INPUTS | VISUAL_INPUTS
    assert inputs["input_ids"].tolist() == [[CLS, A, DOG, SEP]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 0]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 1]]
    assert inputs["visual_embeds"].shape == (1, 4, 8)
    assert {name: tensor.dtype for name, tensor in inputs.items() if tensor.dtype != torch.int64} == {
        "visual_embeds": torch.float32,
        "visual_locations": torch.float32,
    }


def test_a_batch_is_padded_on_both_sides():
    inputs = processor()(text=["dog", "a dog"], regions=[random_regions(1), random_regions(120)])
    assert inputs["input_ids"].tolist() == [[CLS, DOG, SEP, 0], [CLS, A, DOG, SEP]]
    assert inputs["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert inputs["visual_attention_mask"].sum(1).tolist() == [2, 121]


def test_text_only_and_regions_only():
    assert processor()(text=["a dog"]).keys() == TEXT_INPUTS
    assert processor()(regions=random_regions(2)).keys() == VISUAL_INPUTS


def test_a_second_text_has_the_second_token_type():
    inputs = processor()(text=["a dog"], text_pair=["cat"])
    assert inputs["input_ids"].tolist() == [[CLS, A, DOG, SEP, CAT, SEP]]
    assert inputs["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1]]


def test_truncation_keeps_the_separators():
    dogs, cats = " ".join(["dog"] * 600), " ".join(["cat"] * 600)
    assert processor()(text=dogs, max_length=5)["input_ids"].tolist() == [[CLS, DOG, DOG, DOG, SEP]]
    pair = processor()(text=dogs, text_pair=cats, max_length=7)["input_ids"]
    assert pair.tolist() == [[CLS, DOG, DOG, SEP, CAT, CAT, SEP]]
    to_the_models_limit = processor()(text=dogs)["input_ids"]
    assert to_the_models_limit.shape == (1, 512)
    assert to_the_models_limit[0, -1] == SEP


def test_padding_to_a_fixed_length():
    inputs = processor()(text="a dog", padding="max_length", max_length=6)
    assert inputs["input_ids"].tolist() == [[CLS, A, DOG, SEP, 0, 0]]


def test_keyword_arguments_may_come_in_a_dictionary():
    inputs = processor()(text="a dog", text_kwargs={"padding": "max_length", "max_length": 6, "return_tensors": "np"})
    assert isinstance(inputs["input_ids"], np.ndarray)
    assert inputs["input_ids"].tolist() == [[CLS, A, DOG, SEP, 0, 0]]
    with pytest.raises(ValueError, match="max_length was passed two times"):
        processor()(text="a dog", max_length=6, text_kwargs={"max_length": 5})


@pytest.mark.parametrize("arguments", [{"stride": 2}, {"text_kwargs": {"stride": 2}}])
def test_unknown_keyword_arguments_are_refused(arguments):
    with pytest.raises(TypeError, match=r"unknown keyword arguments \['stride'\]; it takes \['padding', 'truncation'"):
        processor()(text="a dog", **arguments)


MASK, QUESTION_MARK = 103, 1029


def asking(**settings):
    return RegionTextProcessor(
        RegionFeatureExtractor(visual_embedding_dim=8, **settings), tokenizer(), append_mask=True
    )


def test_a_question_ends_in_a_mask():
    inputs = asking()(text=["a dog", "cat?"], regions=[random_regions(1)] * 2)
    assert inputs["input_ids"].tolist() == [
        [CLS, A, DOG, QUESTION_MARK, MASK, SEP],
        [CLS, CAT, QUESTION_MARK, MASK, SEP, 0],
    ]
    assert inputs["attention_mask"].tolist() == [[1] * 6, [1] * 5 + [0]]
    assert asking()(text="cat?", return_tensors="np")["input_ids"].tolist() == [[CLS, CAT, QUESTION_MARK, MASK, SEP]]
    pair = asking()(text="dog", text_pair="cat")
    assert pair["input_ids"].tolist() == [[CLS, DOG, QUESTION_MARK, SEP, CAT, MASK, SEP]]
    assert pair["token_type_ids"].tolist() == [[0, 0, 0, 0, 1, 1, 1]]


def test_a_long_question_keeps_its_mask():
    dogs = " ".join(["dog"] * 600)
    assert asking()(text=dogs, max_length=5)["input_ids"].tolist() == [[CLS, DOG, DOG, MASK, SEP]]
    longest = asking()(text=dogs)["input_ids"]
    assert (longest.shape, longest[0, -2]) == ((1, 512), MASK)
    assert asking()(text="a dog", padding="max_length", max_length=7)["input_ids"].tolist() == [
        [CLS, A, DOG, QUESTION_MARK, MASK, SEP, 0]
    ]


def test_a_tokenizer_that_allows_any_length_keeps_the_mask_too():
    unbounded = BertTokenizer(vocab=str(minilm_folder() / "vocab.txt"))
    questions = RegionTextProcessor(RegionFeatureExtractor(visual_embedding_dim=8), unbounded, append_mask=True)
    assert questions(text="a dog")["input_ids"].tolist() == [[CLS, A, DOG, QUESTION_MARK, MASK, SEP]]
    dogs = " ".join(["dog"] * 600)
    assert questions(text=dogs)["input_ids"].shape == (1, 604)
    assert questions(text=dogs, max_length=5)["input_ids"].tolist() == [[CLS, DOG, DOG, MASK, SEP]]


def test_unknown_kinds_of_tensors():
    with pytest.raises(ValueError, match="return_tensors must be 'pt' or 'np', got 'tf'"):
        processor()(text="dog", return_tensors="tf")


def test_padding_on_the_left_is_refused():
    """Positions are counted from the left, where a short text would begin with padding."""
    left = AutoTokenizer.from_pretrained(minilm_folder(), padding_side="left")
    message = r"the tokenizer pads on the left: .* Set tokenizer\.padding_side = 'right'"
    with pytest.raises(ValueError, match=message):
        RegionTextProcessor(RegionFeatureExtractor(visual_embedding_dim=8), left)
    left.padding_side = "right"
    changed = RegionTextProcessor(RegionFeatureExtractor(visual_embedding_dim=8), left)
    left.padding_side = "left"
    with pytest.raises(ValueError, match=message):
        changed(text=["dog", "a dog"])
    assert changed(regions=random_regions(1)).keys() == VISUAL_INPUTS


def test_numpy_tensors():
    for array in processor()(text=["a dog"], regions=[random_regions(2)], return_tensors="np").values():
        assert isinstance(array, np.ndarray)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs text, regions or both"),
        ({"text_pair": "a dog"}, "give text as well"),
        ({"text_pair": "a dog", "regions": random_regions(1)}, "give text as well"),
        ({"text": ["dog", "cat"], "regions": random_regions(1)}, "2 texts and 1 images"),
        ({"text": "dog", "regions": [random_regions(1)] * 3}, "1 texts and 3 images"),
        ({"regions": []}, "no images to encode"),
        ({"text": [], "regions": [random_regions(1)]}, "no texts to encode"),
    ],
)
def test_what_does_not_fit_together(arguments, message):
    with pytest.raises(ValueError, match=message):
        processor()(**arguments)


def test_an_image_that_does_not_fit_the_model():
    with pytest.raises(InvalidRegionFeatures, match="visual_embedding_dim=8"):
        processor()(text="dog", regions=random_regions(1, feature_dim=9))


def test_model_input_names():
    assert set(processor().model_input_names) == TEXT_INPUTS | VISUAL_INPUTS


class UnnamedConfig(PreTrainedConfig):
    model_type = "region_text_processor_test"


@pytest.fixture
def registered():
    AutoFeatureExtractor.register(UnnamedConfig, RegionFeatureExtractor, exist_ok=True)
    AutoProcessor.register(UnnamedConfig, RegionTextProcessor, exist_ok=True)


def test_it_is_saved_and_found_again(tmp_path, registered):
    saved = processor(location_size=7, global_region="last", max_regions=2)
    saved.save_pretrained(tmp_path)
    arguments = {"text": ["a dog", "cat"], "regions": [random_regions(3), random_regions(1)]}
    for loaded in (RegionTextProcessor.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)):
        assert type(loaded) is RegionTextProcessor
        torch.testing.assert_close(dict(loaded(**arguments)), dict(saved(**arguments)), rtol=0, atol=0)


def test_the_mask_is_a_setting_that_is_saved(tmp_path, registered):
    asking().save_pretrained(tmp_path)
    loaded = RegionTextProcessor.from_pretrained(tmp_path)
    assert loaded.append_mask
    assert loaded(text="cat")["input_ids"].tolist() == [[CLS, CAT, QUESTION_MARK, MASK, SEP]]
    without = AutoTokenizer.from_pretrained(minilm_folder())
    without.mask_token = None
    with pytest.raises(ValueError, match="append_mask=True, but BertTokenizer has no mask token"):
        RegionTextProcessor(RegionFeatureExtractor(), without, append_mask=True)
