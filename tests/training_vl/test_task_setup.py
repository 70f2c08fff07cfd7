"""From arguments to a task's data, config, processor and collator."""

from __future__ import annotations

import json
import shutil
from itertools import islice
from pathlib import Path

import pytest
import torch

from datasets_vl.tasks.prepare import prepare_split
from datasets_vl.tasks.registry import BENCHMARKS
from datasets_vl.tasks.table import read_task_table
from tests.training_vl.tiny_tasks import SCENES, task_recipe, write_task
from training_vl.arguments import ModelArguments
from training_vl.model_setup import load_config
from training_vl.task_arguments import TaskRunArguments, parse_task_arguments
from training_vl.task_controls import exchanged_images
from training_vl.task_setup import TaskParts, check_labels, find_task, set_up_task
from training_vl.tasks import TASKS


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def arguments_for(data: Path, task: str, config: str = "vilbert", **arguments: object) -> TaskRunArguments:
    return parse_task_arguments([str(task_recipe(data, f"{task}-{config}", task=task, config=config, **arguments))])


def parts_for(data: Path, task: str, config: str = "vilbert", **arguments: object) -> TaskParts:
    run = arguments_for(data, task, config, **arguments)
    return set_up_task(run.model, run.data)


def test_labels_come_from_the_prepared_data(data: Path) -> None:
    parts = parts_for(data, "vqa")
    labels = read_task_table(data / "prepared_vqa", "train").labels
    assert parts.config.num_labels == len(labels) > 3
    assert [parts.config.id2label[n] for n in range(len(labels))] == labels
    assert parts.config.label2id[labels[2]] == 2
    assert parts_for(data, "nlvr2").config.id2label == {0: "False", 1: "True"}


@pytest.mark.parametrize(("config", "append_mask"), [("vilbert", False), ("visualbert", True)])
def test_visualbert_asks_with_a_mask(data: Path, config: str, append_mask: bool) -> None:
    parts = parts_for(data, "vqa", config)
    assert parts.processor.append_mask is append_mask
    assert not parts_for(data, "snli_ve", config).processor.append_mask
    (batch,) = islice(parts.training_data(batch_size=3, seed=0, rank=0, world_size=1), 1)
    ends = batch["input_ids"].gather(1, batch["attention_mask"].sum(1, keepdim=True) - 2)
    assert torch.all((ends == parts.processor.tokenizer.mask_token_id) == append_mask)


def test_the_validation_split_is_found(data: Path) -> None:
    parts = parts_for(data, "vcr_qa")
    assert parts.validation.name == "val"
    (batch, *_) = parts.validation.batches(parts.collator, batch_size=64)
    assert len(batch["index"]) == len(parts.validation.table)
    assert batch["input_ids"].shape[1] == 4
    assert parts_for(data, "vcr_qa", train_split="train+val", val_regions=None).validation is None


def test_without_a_validation_split_it_is_said(data: Path, caplog: pytest.LogCaptureFixture) -> None:
    parts_for(data, "vcr_qa", train_split="train+val", val_regions=None, early_stopping_patience=3)
    assert "prepared_vcr has no split to evaluate vcr_qa on" in caplog.text
    assert "nothing stops the run early" in caplog.text


def test_a_model_trained_for_other_tasks_is_now_for_this_one(data: Path, tmp_path: Path) -> None:
    run = arguments_for(data, "snli_ve")
    heads = {"nlvr2": {"kind": "classification", "num_images": 2}}
    load_config(run.model, num_images=2, multi_task_heads=heads).save_pretrained(tmp_path)
    run.model = ModelArguments(from_pretrained=str(tmp_path), tokenizer=run.model.tokenizer)
    parts = set_up_task(run.model, run.data)
    assert (parts.config.multi_task_heads, parts.config.num_images) == ({}, 1)
    assert parts.config.num_labels == 3


def test_several_splits_train_together(data: Path) -> None:
    scenes = write_task(data, "snli_ve")
    run = arguments_for(data, "snli_ve")
    run.data.train_split, run.data.val_split = "train+val", "val"
    both = set_up_task(run.model, run.data).training.table
    each = [read_task_table(scenes.data, split) for split in SCENES]
    assert sorted(both.example_ids) == sorted(name for table in each for name in table.example_ids)
    assert both.labels == each[0].labels


@pytest.mark.parametrize(("task", "num_images"), [("vqa", 1), ("nlvr2", 2)])
def test_a_task_reads_the_same_as_a_stream(data: Path, task: str, num_images: int) -> None:
    local, streamed = parts_for(data, task), parts_for(data, task, streaming=True)
    assert streamed.config.num_images == num_images
    (batch,) = islice(streamed.training_data(batch_size=2, seed=0, rank=0, world_size=1), 1)
    assert len(batch["labels"]) == 2
    rows = [
        {
            int(number): tuple(value[row].tolist() for value in batch.values())
            for batch in parts.validation.batches(parts.collator, batch_size=1000)
            for row, number in enumerate(batch["index"])
        }
        for parts in (local, streamed)
    ]
    assert len(rows[0]) == len(local.validation.table)
    assert rows[0] == rows[1]


def test_training_alone_zeroes_small_overlaps(data: Path) -> None:
    """As both ViLBERT code bases do for RefCOCO."""
    parts = parts_for(data, "refcoco")
    assert parts.training.examples.form.zero_below == 0.5
    assert parts.validation.examples.form.zero_below == 0.0


def test_a_task_token_belongs_to_a_model_that_knows_it(data: Path) -> None:
    parts = parts_for(data, "vqa", config_overrides={"num_task_tokens": 4}, task_token=3)
    (batch,) = islice(parts.training_data(batch_size=2, seed=0, rank=0, world_size=1), 1)
    assert batch["task_ids"].tolist() == [3, 3]
    for tokens, token in ((0, 1), (4, None), (4, 4)):
        with pytest.raises(ValueError, match=f"task_token is {token}, the model has num_task_tokens={tokens}"):
            parts_for(data, "vqa", config_overrides={"num_task_tokens": tokens}, task_token=token)


def test_what_is_missing_is_asked_for(data: Path) -> None:
    with pytest.raises(ValueError, match="which task\\? Give task: one of vqa, gqa, .*, got 'vcr'"):
        find_task("vcr")
    run = arguments_for(data, "vqa")
    run.data.task = "gqa"
    with pytest.raises(ValueError, match="prepared_vqa holds vqa, the task gqa needs gqa"):
        set_up_task(run.model, run.data)
    run.data.data = None
    with pytest.raises(ValueError, match="which annotations\\? Give data"):
        set_up_task(run.model, run.data)
    with pytest.raises(ValueError, match="128 numbers a region, the model wants visual_embedding_dim=9"):
        parts_for(data, "vqa", config_overrides={"visual_embedding_dim": 9})


def test_a_test_split_neither_trains_nor_evaluates(data: Path, tmp_path: Path) -> None:
    run = arguments_for(data, "nlvr2")
    folder = shutil.copytree(data / "prepared_nlvr2", tmp_path / "prepared")
    rows = [json.loads(line) for line in (data / "annotations" / "nlvr2" / "val.json").read_text().splitlines()]
    unlabelled = tmp_path / "test.json"
    unlabelled.write_text("".join(json.dumps({**row, "label": None}) + "\n" for row in rows))
    options = {"annotations": unlabelled}
    prepare_split(BENCHMARKS["nlvr2"], folder, split="test", regions=[run.data.val_regions], options=options)
    run.data.data, run.data.val_split = str(folder), "test"
    with pytest.raises(
        ValueError, match="the records of test do not say what is right: evaluate on another val_split"
    ):
        set_up_task(run.model, run.data)
    run.data.train_split, run.data.regions = "test", run.data.val_regions
    with pytest.raises(ValueError, match="the records of test do not say what is right: a test split trains nothing"):
        set_up_task(run.model, run.data)


def test_a_model_with_other_classes_is_refused(data: Path) -> None:
    parts = parts_for(data, "vqa")
    labels = parts.training.table.labels
    check_labels(parts.config, TASKS["vqa"], labels, "model")
    with pytest.raises(ValueError, match=f"model knows {len(labels)} classes, .* the data {len(labels)}"):
        check_labels(parts.config, TASKS["vqa"], labels[::-1], "model")
    check_labels(parts.config, TASKS["vcr_qa"], None, "model")


def test_exchanged_images_and_exchanged_features(data: Path) -> None:
    parts = parts_for(data, "nlvr2")
    control = exchanged_images(parts.task, parts.validation)
    (own,), (other,) = (list(split.batches(parts.collator, batch_size=64)) for split in (parts.validation, control))
    assert torch.equal(own["input_ids"], other["input_ids"])
    for image in range(2):
        same = [
            torch.equal(one[image][: len(two[image])], two[image][: len(one[image])])
            for one, two in zip(own["visual_embeds"], other["visual_embeds"], strict=True)
        ]
        assert not any(same)
    parts = parts_for(data, "refcoco")
    control = exchanged_images(parts.task, parts.validation)
    (own, *_), (other, *_) = (
        list(split.batches(parts.collator, batch_size=8)) for split in (parts.validation, control)
    )
    assert torch.equal(own["region_boxes"], other["region_boxes"])
    assert torch.equal(own["labels"], other["labels"])
    assert not torch.equal(own["visual_embeds"], other["visual_embeds"])


def test_verified_boxes_are_named_as_the_source_of_proposals(data: Path, tmp_path: Path) -> None:
    run = arguments_for(data, "refcoco")
    seen = set_up_task(run.model, run.data).validation
    shutil.copytree(run.data.data, tmp_path / "prepared")
    described = tmp_path / "prepared" / "task.json"
    description = json.loads(described.read_text())
    entry = {"source": "boxes of a detector", "regions": [seen.regions.fingerprint]}
    description["splits"]["val"]["proposals"] = entry
    described.write_text(json.dumps(description))
    run.data.data = str(tmp_path / "prepared")
    assert seen.proposals != set_up_task(run.model, run.data).validation.proposals == "boxes of a detector"


def test_the_answer_separator_is_that_of_the_rationales(data: Path) -> None:
    parts = parts_for(data, "vcr_qar", answer_separator="[SEP]")
    batches = (parts.training_data(batch_size=2, seed=0, rank=0, world_size=1), parts.validation.batches)
    (training, *_) = islice(batches[0], 1)
    (validation, *_) = batches[1](parts.collator, batch_size=2)
    separator = parts.processor.tokenizer.sep_token_id
    for batch in (training, validation):
        assert ((batch["input_ids"] == separator).sum(-1) == 3).all()
    with pytest.raises(ValueError, match="belongs to vcr_qar, not to vcr_qa: leave it out"):
        parts_for(data, "vcr_qa", answer_separator="[SEP]")
