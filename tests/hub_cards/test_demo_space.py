"""The page of a demo Space finds what the model finds, draws it, and needs nothing but its own files."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from huggingface_hub import SpaceCard
from PIL import Image
from transformers import AutoProcessor

from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from hub_cards import demo_space
from hub_cards.demo_space import DemoSpace, ExampleImages
from hub_cards.model_tasks import class_reference
from modeling_vl import (
    ViLBertForImageTextRetrieval,
    ViLBertForRegionGrounding,
    ViLBertForVisualQuestionAnswering,
    VisualBertForRegionGrounding,
    VisualBertForVisualQuestionAnswering,
)
from processing_vl.region_features import RegionFeatures
from tests.hub_cards.saved_models import save_model
from tests.random_regions import random_regions
from tests.tiny_models import FEATURES

IDS = ["image-0", "a/b.c", "image-2"]


@pytest.fixture(scope="module")
def regions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("regions")
    metadata = RegionFeaturesMetadata(feature_dim=FEATURES, num_classes=5, feature_dtype="float32")
    with RegionShardWriter(folder, metadata) as writer:
        for number, name in enumerate(IDS):
            writer.write(random_regions(4 + number, feature_dim=FEATURES, seed=number, image_id=name))
    return folder


@pytest.fixture
def page(tmp_path: Path, regions: Path) -> Callable[..., tuple[ModuleType, Any, RegionFeatures]]:
    """The written page for a model: its module, the demo, and the image it calls `NAME`."""

    def write(model_class: type, examples: ExampleImages | None = None, **fields: Any) -> tuple:
        model = save_model(tmp_path / "model", model_class, **fields)
        examples = examples or ExampleImages.read(regions)
        settings = {"title": "A demo", "model": str(model), "revision": "main", "texts": ["a dog"]}
        settings["model_class"] = class_reference(model_class.__name__)
        DemoSpace(SpaceCard("---\ntitle: x\n---\n"), settings, examples).write(tmp_path / "page")
        spec = importlib.util.spec_from_file_location("written_app", tmp_path / "page" / "app.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module, module.Demo(), examples.images[0]

    return write


@pytest.mark.parametrize("model_class", [ViLBertForRegionGrounding, VisualBertForRegionGrounding])
def test_the_regions_found_are_the_models(model_class: type, page: Callable) -> None:
    _, demo, image = page(model_class)
    scores, rows = demo.select(demo.names[0], "the dog on the left")
    inputs = AutoProcessor.from_pretrained(demo.settings["model"])(text="the dog on the left", regions=image)
    predictions = model_class.from_pretrained(demo.settings["model"]).predict(**inputs, top_k=9)[0]
    added = demo.processor.feature_extractor.global_region == "first"
    wanted = np.zeros(image.num_regions + added)
    wanted[[one["region"] for one in predictions]] = [one["score"] for one in predictions]
    np.testing.assert_allclose(scores, wanted[added:], atol=1e-6)
    assert rows[0] == [f"region {scores.argmax()}", round(float(scores.max()), 3)]
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("model_class", "fields"),
    [
        (ViLBertForVisualQuestionAnswering, {}),
        (VisualBertForVisualQuestionAnswering, {"bypass_transformer": True}),
        (ViLBertForImageTextRetrieval, {}),
    ],
)
def test_answers_come_with_the_regions_that_the_text_attends_to(
    model_class: type, fields: dict[str, Any], page: Callable
) -> None:
    _, demo, image = page(model_class, **fields)
    shares, rows = demo.select(demo.names[0], "what is on the grass")
    inputs = AutoProcessor.from_pretrained(demo.settings["model"])(text="what is on the grass", regions=image)
    model = model_class.from_pretrained(demo.settings["model"])
    predictions = model.predict(**inputs, top_k=3)[0]
    assert [row[0] for row in rows] == [one.get("answer", "this image fits") for one in predictions]
    np.testing.assert_allclose([row[1] for row in rows], [one["score"] for one in predictions], atol=1e-3)
    assert shares.shape == (image.num_regions,)
    assert 0 < shares.min() < shares.max()
    assert shares.sum() <= 1 + 1e-6


def test_boxes_are_drawn_on_white_or_on_the_photo(page: Callable, regions: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 48), (0, 0, 200)).save(tmp_path / "photos" / "image-2.PNG")
    module, demo, image = page(ViLBertForRegionGrounding, ExampleImages.read(regions, photos=tmp_path / "photos"))
    assert demo.names == ["00-image-0", "01-a_b_c", "02-image-2"]
    scores = np.arange(image.num_regions)[::-1] / 10
    drawn = np.asarray(demo.draw(demo.names[0], scores))
    assert drawn.shape == (image.height, image.width, 3)
    x1, y1, _, y2 = image.boxes[0].astype(int)  # the best one
    assert tuple(drawn[(y1 + y2) // 2, x1]) == module.COLOUR
    assert (drawn == module.FAINT).all(-1).sum() > 100  # the worst of four
    assert (drawn == 255).all(-1).mean() > 0.8
    photo = np.asarray(demo.draw(demo.names[2], np.zeros(6)))
    assert photo.shape == (480, 640, 3)
    assert (photo == (0, 0, 200)).all(-1).mean() > 0.8


def test_a_model_that_reads_only_the_first_regions(page: Callable) -> None:
    _, demo, image = page(ViLBertForRegionGrounding)
    demo.processor.feature_extractor.max_regions = 2
    scores, _ = demo.select(demo.names[0], "a dog")
    assert scores.shape == (image.num_regions,)
    assert scores[:2].all()
    assert not scores[2:].any()


def test_images_are_chosen_by_id(regions: Path, tmp_path: Path) -> None:
    assert [image.image_id for image in ExampleImages.read(regions, ["image-2", "image-0"]).images] == [IDS[0], IDS[2]]
    assert [image.image_id for image in ExampleImages.read(regions, most=2).images] == IDS[:2]
    with pytest.raises(ValueError, match="has no image nothing"):
        ExampleImages.read(regions, ["image-2", "nothing"])
    with pytest.raises(FileNotFoundError, match="there is no folder of photos"):
        ExampleImages.read(regions, photos=tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "someone/m holds a model of the class none, which is none of this package"),
        ({"architectures": ["BlipForImageTextRetrieval"]}, "BlipForImageTextRetrieval, which is none of this package"),
        ({"architectures": ["ViLBertForMaskedLM"]}, "is a ViLBertForMaskedLM; the page knows models whose class ends"),
        (
            {"architectures": ["ViLBertForRegionGrounding"], "visual_embedding_dim": FEATURES + 1},
            f"the example images have {FEATURES} numbers a region, someone/m reads {FEATURES + 1}",
        ),
    ],
)
def test_models_that_do_not_fit_the_page(
    config: dict[str, Any], message: str, regions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    monkeypatch.setattr(demo_space, "hf_hub_download", lambda model, name, revision: path)
    said = dict.fromkeys(("images_license", "intended_use", "limits"), "x y")
    with pytest.raises(ValueError, match=message):
        demo_space.demo_space(
            ExampleImages.read(regions), "someone/demo", {**said, "model": "someone/m", "texts": ["a dog"]}
        )
