from __future__ import annotations

import dataclasses
import re
import warnings

import numpy as np
import pytest
import torch

from configuration_vl.configuration_vilbert import ViLBertConfig
from configuration_vl.configuration_visualbert import VisualBertConfig
from processing_vl.boxes_vl import region_locations
from processing_vl.feature_extraction_regions import RegionFeatureExtractor
from processing_vl.region_features import InvalidRegionFeatures, RegionFeatures
from tests.random_regions import random_regions


def extractor(**changes):
    return RegionFeatureExtractor(**{"visual_embedding_dim": 8, "global_region": None, **changes})


def known_image(**changes):
    fields = {
        "image_id": "known",
        "width": 10,
        "height": 20,
        "boxes": np.array([[0, 0, 10, 20], [5, 10, 10, 20], [0, 5, 5, 10]], dtype=np.float32),
        "features": np.array([[1, 2], [3, 5], [8, 11]], dtype=np.float16),
    }
    return RegionFeatures(**{**fields, **changes})


A, B, C = [1, 2], [3, 5], [8, 11]
WHOLE, HALF, CORNER = [0, 0, 1, 1, 1], [0.5, 0.5, 1, 1, 0.25], [0, 0.25, 0.5, 0.5, 0.125]


@pytest.mark.parametrize(
    ("global_region", "in_data", "features", "locations"),
    [
        (None, False, [A, B, C], [WHOLE, HALF, CORNER]),
        (None, True, [A, B, C], [WHOLE, HALF, CORNER]),
        ("first", False, [[4, 6], A, B, C], [WHOLE, WHOLE, HALF, CORNER]),
        ("first", True, [A, B, C], [WHOLE, HALF, CORNER]),
        ("last", False, [A, B, C, [4, 6]], [WHOLE, HALF, CORNER, WHOLE]),
        ("last", True, [B, C, A], [HALF, CORNER, WHOLE]),
    ],
)
def test_the_global_region_is_added_used_or_moved(global_region, in_data, features, locations):
    extract = extractor(visual_embedding_dim=2, global_region=global_region)
    batch = extract(known_image(has_global_region=in_data))
    assert batch["visual_embeds"].tolist() == [features]
    assert batch["visual_locations"].tolist() == [locations]
    assert batch["visual_attention_mask"].tolist() == [[1] * len(features)]


@pytest.mark.parametrize("global_region", ["first", "last", None])
def test_padding(global_region):
    images = [random_regions(n, seed=n) for n in (3, 1, 120)]
    batch = extractor(global_region=global_region)(images)
    added = int(global_region is not None)
    assert {name: (tuple(t.shape), t.dtype) for name, t in batch.items()} == {
        "visual_embeds": ((3, 120 + added, 8), torch.float32),
        "visual_locations": ((3, 120 + added, 5), torch.float32),
        "visual_attention_mask": ((3, 120 + added), torch.int64),
    }
    start = int(global_region == "first")
    for row, image in enumerate(images):
        n = image.num_regions
        own = slice(start, start + n)
        torch.testing.assert_close(
            batch["visual_embeds"][row, own], torch.tensor(image.features).float(), rtol=0, atol=0
        )
        expected = region_locations(image.boxes, image.width, image.height)
        np.testing.assert_array_equal(batch["visual_locations"][row, own], expected)
        assert batch["visual_attention_mask"][row].tolist() == [1] * (n + added) + [0] * (120 - n)
        assert not batch["visual_embeds"][row, n + added :].any()
        assert not batch["visual_locations"][row, n + added :].any()


@pytest.mark.parametrize(
    ("code_base", "reader", "settings"),
    [("beta", "reader", {"global_region": "first"}), ("mt", "reader", {"global_region": "first"})]
    + [
        ("volta", f"reader_{place}_{size}", {"global_region": place, "location_size": size})
        for place in ("first", "last", None)
        for size in (4, 5, 7)
    ],
)
def test_the_original_readers(loader_record, code_base, reader, settings):
    arrays = loader_record(code_base).arrays
    width, height = (int(side) for side in arrays["inputs/image_wh"])
    features, boxes = arrays["inputs/features"], arrays["inputs/boxes"]
    image = RegionFeatures(image_id="golden", width=width, height=height, boxes=boxes, features=features)
    batch = RegionFeatureExtractor(visual_embedding_dim=features.shape[1], **settings)(image, return_tensors="np")
    assert batch["visual_embeds"].shape[1] == arrays[f"outputs/{reader}.num_boxes"]
    np.testing.assert_allclose(batch["visual_embeds"][0], arrays[f"outputs/{reader}.features"], atol=1e-6)
    np.testing.assert_allclose(batch["visual_locations"][0], arrays[f"outputs/{reader}.boxes"], atol=1e-6)


def test_float16_and_float32_images_share_a_batch():
    half = random_regions(2)
    precise = random_regions(2, features=np.full((2, 8), 1 + 2**-20, dtype=np.float32))
    embeds = extractor()([half, precise])["visual_embeds"]
    np.testing.assert_array_equal(embeds[0], half.features.astype(np.float32))
    np.testing.assert_array_equal(embeds[1], precise.features)


def test_read_only_views_are_read_without_a_warning_and_not_written():
    features = random_regions(3).features
    views = random_regions(3, features=np.frombuffer(features.tobytes(), dtype=np.float16).reshape(3, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = extractor(global_region="first")(views)
    batch["visual_embeds"].zero_()
    np.testing.assert_array_equal(views.features, features)


def test_max_regions_keeps_the_first_and_the_global_region():
    plain, with_global = random_regions(5), random_regions(5, has_global_region=True)
    kept = extractor(max_regions=2, global_region="first")([plain, with_global])["visual_embeds"]
    features = torch.tensor(plain.features).float()
    torch.testing.assert_close(kept[0], torch.cat([features[:2].mean(0, keepdim=True), features[:2]]))
    torch.testing.assert_close(kept[1], torch.tensor(with_global.features[:3]).float())
    as_ordinary = extractor(max_regions=2, global_region=None)(with_global)["visual_embeds"]
    torch.testing.assert_close(as_ordinary[0], torch.tensor(with_global.features[:2]).float())


def test_limit_cuts_every_array_and_leaves_small_images_alone():
    image = random_regions(5)
    cut = extractor(max_regions=3).limit(image)
    for field in dataclasses.fields(RegionFeatures):
        before, after = getattr(image, field.name), getattr(cut, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before[:3])
        else:
            assert after == before
    assert extractor(max_regions=5).limit(image) is image


def test_numpy_tensors():
    images = [random_regions(2), random_regions(4)]
    as_torch, as_numpy = extractor()(images), extractor()(images, return_tensors="np")
    assert as_torch.keys() == as_numpy.keys()
    for name, array in as_numpy.items():
        assert isinstance(array, np.ndarray)
        np.testing.assert_array_equal(array, as_torch[name].numpy())


def test_a_mapping_is_an_image():
    image = random_regions(3)
    mapping = {"boxes": image.boxes, "features": image.features, "width": 640, "height": 480}
    torch.testing.assert_close(dict(extractor()(mapping)), dict(extractor()(image)), rtol=0, atol=0)
    with pytest.raises(InvalidRegionFeatures, match="image 'number 1 of the batch': features is float64"):
        extractor()([image, {**mapping, "features": [[0.5] * 8] * 3}])


def test_a_wrong_dimension_names_both_numbers_the_image_and_the_official_sizes():
    with pytest.raises(InvalidRegionFeatures) as error:
        extractor(visual_embedding_dim=2048)([random_regions(2, feature_dim=2048), random_regions(2, seed=7)])
    for part in ("'image-7'", "8 numbers", "visual_embedding_dim=2048", "1024 for NLVR2", "512 for VCR", "2054"):
        assert part in str(error.value)


def test_an_invalid_image_is_refused():
    features = random_regions(3).features.copy()
    features[1, 2] = np.nan
    with pytest.raises(
        InvalidRegionFeatures, match="image 'image-0': features of region 1 holds a number that is not"
    ):
        extractor()(random_regions(3, features=features))


@pytest.mark.parametrize(
    ("regions", "error", "message"),
    [
        ([], ValueError, "no images to encode"),
        ([np.zeros((2, 8))], TypeError, "image 0 of the batch is ndarray, expected RegionFeatures"),
        (np.zeros((2, 8)), TypeError, "image 0 of the batch is ndarray, expected RegionFeatures"),
    ],
)
def test_what_is_no_image(regions, error, message):
    with pytest.raises(error, match=message):
        extractor()(regions)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"visual_embedding_dim": 0}, "visual_embedding_dim must be at least 1, got 0"),
        ({"location_size": 6}, "location_size must be one of (4, 5, 7), got 6"),
        ({"global_region": "middle"}, "global_region must be 'first', 'last' or None, got 'middle'"),
        ({"max_regions": 0}, "max_regions must be at least 1, or None for all regions, got 0"),
    ],
)
def test_impossible_settings(settings, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        RegionFeatureExtractor(**settings)


def test_unknown_tensor_type():
    with pytest.raises(ValueError, match="return_tensors must be 'pt' or 'np', got 'tf'"):
        extractor()(random_regions(1), return_tensors="tf")


def test_settings_survive_a_round_trip(tmp_path):
    saved = extractor(location_size=7, global_region="last", max_regions=36)
    saved.save_pretrained(tmp_path)
    loaded = RegionFeatureExtractor.from_pretrained(tmp_path)
    assert loaded.to_dict() == saved.to_dict()
    image = random_regions(40)
    torch.testing.assert_close(dict(loaded(image)), dict(saved(image)), rtol=0, atol=0)


def test_settings_of_a_model():
    vilbert = RegionFeatureExtractor.from_model_config(ViLBertConfig(visual_location_size=7), max_regions=36)
    assert (vilbert.visual_embedding_dim, vilbert.location_size) == (2048, 7)
    assert (vilbert.global_region, vilbert.max_regions) == ("first", 36)
    visualbert = RegionFeatureExtractor.from_model_config(VisualBertConfig(visual_embedding_dim=1024))
    assert (visualbert.visual_embedding_dim, visualbert.location_size) == (1024, 5)
    assert (visualbert.global_region, visualbert.max_regions) == (None, None)


def test_a_power_keeps_signs_and_zeros_and_comes_before_the_mean() -> None:
    image = known_image(features=np.array([[4, -9], [0, 1], [16, -1]], dtype=np.float16))
    extract = extractor(visual_embedding_dim=2, global_region="first", feature_power=0.5)
    assert extract(image)["visual_embeds"].tolist() == [[[2, -1], [2, -3], [0, 1], [4, -1]]]
    again = RegionFeatureExtractor.from_dict(extract.to_dict())
    assert again(image)["visual_embeds"].tolist() == extract(image)["visual_embeds"].tolist()
    assert RegionFeatureExtractor.from_model_config(ViLBertConfig(feature_power=0.5)).feature_power == 0.5
    with pytest.raises(ValueError, match="feature_power must be positive, got 0"):
        extractor(feature_power=0)
    with pytest.raises(ValueError, match="feature_power must be positive and finite, got -1"):
        ViLBertConfig(feature_power=-1)
