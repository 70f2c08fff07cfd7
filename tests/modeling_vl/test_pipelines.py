"""Pipelines give what the models' `predict` gives, from examples of any kind, in batches or one by one."""

from __future__ import annotations

from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Pipeline, pipeline

from modeling_vl import ViLBertForPreTraining
from tests.random_regions import random_regions
from tests.tiny_models import FEATURES, tiny_model
from tests.tiny_processor import IMAGES, TEXTS, tiny_processor
from tests.tiny_tasks import both, task_model

EXAMPLES = [{"text": text, "regions": image} for text, image in zip(TEXTS, IMAGES, strict=True)]
TASKS = {
    "region-visual-question-answering": "VisualQuestionAnswering",
    "image-text-retrieval": "ImageTextRetrieval",
    "region-grounding": "RegionGrounding",
}


@cache
def ready(kind: str, task: str, max_regions: int | None = None, **fields: Any) -> Pipeline:
    """A pipeline around a tiny model, shared by tests."""
    model = task_model(kind, TASKS[task], **fields)
    return pipeline(task, model=model, processor=tiny_processor(model.config, max_regions=max_regions), device="cpu")


def nearly(results: Any) -> Any:
    """Results whose scores may differ by what padding changes in the last digits."""
    if isinstance(results, list):
        return [nearly(one) for one in results]
    return {name: pytest.approx(value, abs=1e-5) if name == "score" else value for name, value in results.items()}


@both
def test_answers_are_those_of_predict(model: str) -> None:
    pipe = ready(model, "region-visual-question-answering")
    expected = pipe.model.predict(**pipe.processor(text=TEXTS, regions=IMAGES), top_k=3)
    assert pipe(EXAMPLES, top_k=3, batch_size=5) == expected
    for found in (
        pipe(EXAMPLES, top_k=3),
        pipe(EXAMPLES, top_k=3, batch_size=2),
        pipe(text=TEXTS, regions=IMAGES, top_k=3, batch_size=3),
        list(pipe((example for example in EXAMPLES), top_k=3, batch_size=2)),
        [pipe({"text": text, "regions": asdict(image)}, top_k=3) for text, image in zip(TEXTS, IMAGES, strict=True)],
        [pipe(text=text, regions=image, top_k=3) for text, image in zip(TEXTS, IMAGES, strict=True)],
    ):
        assert found == nearly(expected)
    assert pipe(EXAMPLES[0]) == nearly(expected[0][:1])
    assert pipe([]) == []


@both
def test_images_are_ranked_as_predict_ranks_them(model: str) -> None:
    pipe = ready(model, "image-text-retrieval")
    expected = pipe.model.predict(**pipe.processor(text=TEXTS), **pipe.processor(regions=IMAGES))
    assert pipe(TEXTS, regions=IMAGES, batch_size=5) == expected
    assert pipe(TEXTS, regions=IMAGES) == nearly(expected)
    assert pipe(text=TEXTS[0], regions=IMAGES, top_k=2) == nearly(expected[0][:2])
    assert list(pipe((text for text in TEXTS), regions=IMAGES, batch_size=2)) == nearly(expected)
    own = [{"text": text, "regions": IMAGES} for text in TEXTS]
    assert pipe(own, batch_size=3) == nearly(expected)
    few = pipe({"text": TEXTS[1], "regions": IMAGES[2:]})
    assert few == nearly([{**one, "image": one["image"] - 2} for one in expected[1] if one["image"] >= 2])


@pytest.mark.parametrize(
    ("model", "place", "max_regions"),
    [("ViLBert", "first", None), ("ViLBert", "last", 3), ("VisualBert", None, 3)],
)
def test_regions_are_named_by_their_rows_and_boxes(model: str, place: str | None, max_regions: int | None) -> None:
    pipe = ready(model, "region-grounding", max_regions, global_region=place)
    expected = pipe.model.predict(**pipe.processor(text=TEXTS, regions=IMAGES), top_k=9)
    found = pipe(EXAMPLES, top_k=9, batch_size=5)
    for image, regions, of_image in zip(IMAGES, expected, found, strict=True):
        rows = [*range(min(image.num_regions, max_regions or 9))]
        rows = {"first": [None, *rows], "last": [*rows, None], None: rows}[place]
        assert len(of_image) == len(regions) == len(rows)
        for one, region in zip(of_image, regions, strict=True):
            row = rows[region["region"]]
            box = [0, 0, 640, 480] if row is None else image.boxes[row].tolist()
            assert one == {"region": row, "score": region["score"], "box": box}
    assert pipe(EXAMPLES, top_k=9, batch_size=2) == nearly(found)
    assert pipe(EXAMPLES[0]) == nearly(found[0][:1])


def test_images_with_a_row_for_the_whole_image_keep_their_rows() -> None:
    pipe = ready("ViLBert", "region-grounding")
    image = random_regions(4, feature_dim=FEATURES, has_global_region=True)
    found = pipe(text="a cat", regions=image, top_k=9)
    assert sorted(one["region"] for one in found) == [0, 1, 2, 3]
    assert all(one["box"] == image.boxes[one["region"]].tolist() for one in found)


@pytest.mark.parametrize("task", TASKS)
def test_a_saved_pipeline_is_whole(task: str, tmp_path: Path) -> None:
    pipe = ready("VisualBert", task)
    arguments = {"text": "a cat", "regions": IMAGES if task == "image-text-retrieval" else IMAGES[0]}
    expected = pipe(**arguments)
    pipe.save_pretrained(tmp_path)
    assert pipeline(task, model=str(tmp_path), device="cpu")(**arguments) == expected


def test_a_pretrained_folder_ranks_images(tmp_path: Path) -> None:
    pretrained = tiny_model(ViLBertForPreTraining)
    pretrained.save_pretrained(tmp_path)
    processor = tiny_processor(pretrained.config)
    processor.save_pretrained(tmp_path)
    with torch.no_grad():
        logits = pretrained(**processor(text=TEXTS, regions=IMAGES)).seq_relationship_logits
    pipe = pipeline("image-text-retrieval", model=str(tmp_path), device="cpu")
    for text, image, (match, mismatch) in zip(TEXTS, IMAGES, logits.tolist(), strict=True):
        assert pipe(text, regions=[image]) == [{"image": 0, "score": pytest.approx(match - mismatch, abs=1e-5)}]


def test_mistakes_are_named() -> None:
    pipe = ready("ViLBert", "region-grounding")
    for arguments, options, message in (
        (("a cat",), {}, "a mapping with 'text' and 'regions', got str"),
        (({"text": "a cat"},), {}, r"a mapping with 'text' and 'regions', got \['text'\]"),
        (({"text": ["a cat"], "regions": IMAGES[0]},), {}, "one string, got list"),
        ((), {"text": "a cat"}, "give examples, or text= and regions="),
        ((), {"text": TEXTS, "regions": IMAGES[:2]}, "5 texts and 2 images"),
        ((), {"text": TEXTS, "regions": IMAGES[0]}, "5 texts and one image"),
        ((EXAMPLES,), {"regions": IMAGES}, "not both"),
        ((EXAMPLES,), {"topk": 2}, r"does not know \['topk'\]; it takes \['top_k', 'batch_size', 'num_workers'\]"),
    ):
        with pytest.raises(ValueError, match=message):
            pipe(*arguments, **options)
    ranks = ready("ViLBert", "image-text-retrieval")
    with pytest.raises(ValueError, match="there are no images to rank"):
        ranks("a cat")
    with pytest.raises(ValueError, match="give texts"):
        ranks(regions=IMAGES)
    with pytest.raises(ValueError, match="brings images of its own"):
        ranks({"text": "a cat", "regions": IMAGES[:2]}, regions=IMAGES)
    with pytest.raises(ValueError, match="needs a model for QuestionAnswering, got ViLBertForRegionGrounding"):
        pipeline("region-visual-question-answering", model=pipe.model, processor=pipe.processor, device="cpu")
    with pytest.raises(ValueError, match="give processor="):
        type(pipe)(pipe.model, tokenizer=pipe.tokenizer, device="cpu")
