"""Retrieval among the tasks of one model: trained with them, stopped by its recall, resumed, and ranked afterwards."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import Accelerator
from transformers import AutoConfig

from examples import run_multi_task, run_retrieval
from modeling_vl.auto_vl import AutoModelForMultiTask
from tests.integration.pretraining_runs import comparable, weights
from tests.integration.test_multi_task import RECIPE, call, entry, recipe, run
from training_vl.model_setup import starting_model
from training_vl.multi_task import set_up_multi_task
from training_vl.multi_task_arguments import parse_multi_task_arguments
from training_vl.multi_task_loop import OneTask
from training_vl.retrieval_arguments import parse_retrieval_arguments
from training_vl.retrieval_scoring import load_scoring_model, score_to_disk
from training_vl.retrieval_training import set_up_retrieval
from training_vl.run_checks import check_multi_task
from training_vl.tasks import TASKS

SPLITS = {"train_split": "train", "val_split": "val"}
HEAD = {"cls.retrieval_coco.seq_relationship.weight", "cls.retrieval_coco.seq_relationship.bias"}


def captioned(data: Path, **further: Any) -> dict[str, Any]:
    """The entry of a retrieval task on the scenes of `data`."""
    scenes = data / "scenes"
    regions = {"regions": str(scenes / "train"), "val_regions": str(scenes / "val")}
    return {"captions": str(scenes / "dataset_scenes.json"), **regions, **SPLITS, **further}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A recipe of VQA and two tasks of retrieval with one head: a choice among four, and a contrast in the batch."""
    data = tmp_path_factory.mktemp("data")
    tasks = {"vqa": entry(data, "vqa")}
    images = [f"scene_train_{number:06d}" for number in range(16)]
    (data / "pool.json").write_text(json.dumps(dict.fromkeys(images, images)))
    tasks["retrieval_coco"] = captioned(data, hard_negatives=str(data / "pool.json"), micro_batch_size=2)
    tasks["retrieval_flickr30k"] = captioned(
        data, candidates="in_batch", head="retrieval_coco", val_images=4, val_captions_per_image=2
    )
    stops = {"eval_steps": 2, "stop_patience": 0, "stop_threshold": 1e9, "go_threshold": 1.0}
    return recipe(data, "tasks", tasks=tasks, save_steps=5, max_steps=8, **stops)


@pytest.fixture(scope="module")
def whole(path: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a whole run of the recipe."""
    folder = tmp_path_factory.mktemp("run") / "whole"
    run(path, folder)
    return folder


def test_its_loss_reaches_its_head_and_the_trunk_alone(path: str) -> None:
    arguments = parse_multi_task_arguments([path])
    parts = set_up_multi_task(arguments)
    for name, columns in (("retrieval_coco", 4), ("retrieval_flickr30k", 6)):
        model = starting_model(arguments, parts.config, AutoModelForMultiTask).eval()
        of_task = parts.tasks[name]
        batch = next(iter(of_task.parts.training_data(batch_size=6, seed=0, rank=0, world_size=1)))
        output = model(task=name, **batch, **of_task.loss_arguments)
        assert output.logits.shape == (6, columns)
        target = batch.get("labels", torch.arange(6))
        losses = [torch.nn.functional.cross_entropy(output.logits, target)]
        if name == "retrieval_flickr30k":
            losses.append(torch.nn.functional.cross_entropy(output.logits.T, target))
        assert output.loss.item() == pytest.approx(torch.stack(losses).mean().item(), rel=1e-5)
        assert output.loss.item() == pytest.approx(math.log(columns), rel=0.1)  # a fresh model knows nothing
        output.loss.backward()
        reached = {each for each, value in model.named_parameters() if value.grad is not None and value.grad.any()}
        assert {each for each in reached if each.startswith("cls.")} == HEAD
        assert "vilbert.text_embeddings.word_embeddings.weight" in reached


def test_its_recall_stops_it(whole: Path) -> None:
    """No recall can rise beyond all bounds, so the second evaluation stops each task."""
    evaluations = [row for row in comparable(whole) if "eval/retrieval_coco/is_going" in row]
    for name, captions, images in (("retrieval_coco", 30, 6), ("retrieval_flickr30k", 8, 4)):
        assert [row[f"eval/{name}/is_going"] for row in evaluations] == [1, 0, 0, 0]
        recalls = [row[f"eval/{name}/text_to_image_recall_at_1"] for row in evaluations]
        assert [recall * captions for recall in recalls] == pytest.approx(
            [round(recall * captions) for recall in recalls]
        )
        assert all(row[f"eval/{name}/text_to_image_recall_at_10"] == 1 for row in evaluations)  # of so few images
        best = [json.loads(line) for line in (whole / f"predictions_{name}_val.jsonl").read_text().splitlines()]
        assert (len(best), len(best[0]["images"])) == (captions, images)
        assert sum(row["rank"] == 1 for row in best) / captions == pytest.approx(recalls[-1])


def test_it_resumes_exactly(path: str, whole: Path, tmp_path: Path) -> None:
    """From a checkpoint at which all tasks have stopped."""
    resumed = tmp_path / "resumed"
    shutil.copytree(whole / "checkpoint-5", resumed / "checkpoint-5")
    shutil.copy(whole / "log.jsonl", resumed)
    assert run(path, resumed, "--resume_from_checkpoint", "latest") == comparable(whole)
    assert weights(resumed) == weights(whole)
    assert weights(resumed) != weights(whole / "checkpoint-5")


def test_a_trained_model_ranks_with_the_task_that_is_named(path: str, whole: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="which of the tasks .* one of retrieval_coco, retrieval_flickr30k; got None"):
        load_scoring_model(str(whole))
    with pytest.raises(ValueError, match="one of retrieval_coco, retrieval_flickr30k; got 'vqa'"):
        load_scoring_model(str(whole), "vqa")
    parts = set_up_multi_task(parse_multi_task_arguments([path])).tasks["retrieval_coco"].parts
    scores = {}
    for name in ("retrieval_coco", "retrieval_flickr30k"):
        model, task = load_scoring_model(str(whole), name)
        scores[name] = score_to_disk(parts.scorer(model, task=task), tmp_path / name, Accelerator(cpu=True))[:]
    # One head, but each task has its token.
    assert (scores["retrieval_coco"] != scores["retrieval_flickr30k"]).any()
    with pytest.raises(ValueError, match="task was 'retrieval_coco', is 'retrieval_flickr30k'"):
        score_to_disk(parts.scorer(model, task=task), tmp_path / "retrieval_coco", Accelerator(cpu=True))


def test_what_is_trained_for_retrieval_alone_afterwards_has_one_task(whole: Path) -> None:
    entry_of = json.loads((whole / "checkpoint-5" / "state.json").read_text())["arguments"]["tasks"]["retrieval_coco"]
    words = [word for name in ("captions", "regions") for word in (f"--{name}", entry_of[name])]
    parts = set_up_retrieval(parse_retrieval_arguments(["--from_pretrained", str(whole), *words]))
    assert AutoConfig.from_pretrained(whole).multi_task_heads
    assert parts.config.multi_task_heads == {}


def test_a_tiny_run_is_ranked_as_it_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [str(RECIPE), "--config", "vilbert", "--tiny", "--output_dir", str(tmp_path), "--tensorboard", "false"]
    call(monkeypatch, run_multi_task, *words, "--tasks", json.dumps({"retrieval": {}, "snli_ve": {}}))
    scenes = tmp_path / "tiny" / "scenes"
    files = ["--regions", str(scenes / "val"), "--captions", str(scenes / "dataset_scenes.json"), "--split", "val"]
    call(monkeypatch, run_retrieval, str(tmp_path), *files, "--output_dir", str(tmp_path / "ranked"))
    found = json.loads((tmp_path / "ranked" / "recalls.json").read_text())["recalls"]
    last = comparable(tmp_path)[-1]
    for label, name in (("caption to image", "text_to_image"), ("image to caption", "image_to_text")):
        for k in (1, 5, 10):
            assert found[f"{label} R@{k}"]["model"] == last[f"eval/retrieval/{name}_recall_at_{k}"]
    model = AutoModelForMultiTask.from_pretrained(tmp_path)
    assert model.config.for_task("retrieval").retrieval_head == "score"
    with pytest.raises(ValueError, match="none for vqa"):
        OneTask.of(model, TASKS["vqa"])


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"retrieval": {"data": "x"}}, "tasks: retrieval names data; it may give batch_size, candidates, caption"),
        ({"vqa": {"captions": "x"}}, "tasks: vqa names captions; it may give batch_size, data,"),
        ({"retrieval_coco": {"candidates": "some"}}, r"tasks: retrieval_coco: candidates must be one of \['in_batch'"),
        ({"retrieval": {"caption_image_id": "id"}}, r"caption_image_id must be one of \['file_name', 'cocoid'\]"),
        ({"retrieval": {"candidates": "in_batch", "hard_negatives": "x"}}, "tasks: retrieval: hard_negatives are"),
    ],
)
def test_what_a_task_cannot_say_is_refused(tasks: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_multi_task_arguments(["--tasks", json.dumps(tasks)])


def test_streaming_is_refused() -> None:
    with pytest.raises(ValueError, match="tasks: retrieval: retrieval draws images at random .* leave out streaming"):
        parse_multi_task_arguments(["--tasks", '{"retrieval": {}}', "--streaming", "true"])


def test_missing_captions_are_told_before_anything_is_opened(tmp_path: Path) -> None:
    words = ["--output_dir", str(tmp_path), "--regions", "no/regions", "--tasks"]
    with pytest.raises(ValueError) as raised:
        check_multi_task(parse_multi_task_arguments([*words, '{"vqa": {}, "retrieval": {}}', "--tiny"]))
    assert str(raised.value).splitlines() == [
        "tasks: vqa names no data: give a folder written by examples/prepare_task.py",
        "  tasks: retrieval names no captions: give a caption file",
    ]
    files = {"retrieval": {"captions": "no.json", "hard_negatives": "no/pool.json"}}
    with pytest.raises(FileNotFoundError) as raised:
        check_multi_task(parse_multi_task_arguments([*words, json.dumps(files)]))
    assert "tasks: retrieval: captions: there is no file no.json" in str(raised.value)
    assert "tasks: retrieval: hard_negatives: there is no file no/pool.json" in str(raised.value)
