"""What a run lacks is said at once and all together."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from training_vl.arguments import parse_pretraining_arguments
from training_vl.multi_task_arguments import parse_multi_task_arguments
from training_vl.retrieval_arguments import parse_retrieval_arguments
from training_vl.run_checks import check_local_files, check_multi_task, check_pretraining, check_run
from training_vl.task_arguments import parse_task_arguments


def test_all_missing_arguments_are_named_together() -> None:
    with pytest.raises(ValueError) as error:
        check_pretraining(parse_pretraining_arguments(["--regions", "shards"]))
    first, *others = str(error.value).splitlines()
    assert first == "4 arguments are missing:"
    for line, argument in zip(others, ("output_dir", "config", "tokenizer", "captions"), strict=True):
        assert f"Give {argument}" in line


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["--tiny", "--config", "vilbert"], "Give output_dir"),
        (["--tiny", "--output_dir", "out"], "Give config"),
        (["--tiny", "--config", "vilbert", "--output_dir", "out", "--regions", "shards"], "Give captions"),
        (["--tiny", "--config", "vilbert", "--output_dir", "out", "--captions", "captions"], "Give regions"),
    ],
)
def test_a_tiny_run_needs_less(words: list[str], asked: str) -> None:
    check_pretraining(parse_pretraining_arguments(["--tiny", "--config", "vilbert", "--output_dir", "out"]))
    with pytest.raises(ValueError, match=asked) as error:
        check_pretraining(parse_pretraining_arguments(words))
    assert "\n" not in str(error.value)


def test_all_missing_files_are_named_together(tmp_path: Path) -> None:
    (tmp_path / "raw").mkdir()
    words = ["--config", "vilbert", "--tokenizer", "./vocabulary", "--output_dir", "out"]
    words += ["--regions", str(tmp_path / "nowhere"), "--captions", "no.json"]
    words += ["--val_regions", str(tmp_path / "raw"), "--val_captions", str(tmp_path)]
    with pytest.raises(FileNotFoundError) as error:
        check_pretraining(parse_pretraining_arguments(words))
    assert str(error.value).splitlines() == [
        "these are missing:",
        f"  regions: there is no folder {tmp_path}/nowhere",
        f"  val_regions: {tmp_path}/raw has no manifest.json: convert raw features with "
        "examples/convert_region_features.py",
        "  captions: there is no file no.json",
        f"  val_captions: there is no file {tmp_path}",
        "  tokenizer: there is no folder ./vocabulary",
    ]


def test_what_may_be_on_the_hub_is_left_to_the_hub() -> None:
    words = ["--regions", "hf://datasets/user/name", "--streaming", "--tokenizer", "user/bert", "--from_bert", "bert"]
    arguments = parse_pretraining_arguments(words)
    check_local_files(arguments.model, arguments.data)


def test_prepared_data_of_a_task_are_looked_for() -> None:
    arguments = parse_task_arguments(["--data", "prepared/nothing"])
    with pytest.raises(FileNotFoundError, match="^data: there is no folder prepared/nothing$"):
        check_local_files(arguments.model, arguments.data)


@pytest.mark.parametrize(
    ("parse", "words", "missing"),
    [
        (parse_task_arguments, ["--task", "vqa", "--data", "no/prepared"], "data: there is no folder no/prepared"),
        (parse_retrieval_arguments, ["--captions", "no.json"], "captions: there is no file no.json"),
    ],
)
def test_runs_of_tasks_name_missing_files(
    parse: Callable[[list[str]], Any], words: list[str], missing: str, tmp_path: Path
) -> None:
    words = [*words, "--regions", "no/regions", "--output_dir", str(tmp_path), "--config", "vilbert"]
    with pytest.raises(FileNotFoundError) as raised:
        check_run(parse(words))
    assert missing in str(raised.value)
    assert "regions: there is no folder no/regions" in str(raised.value)


def test_a_task_needs_a_place_for_the_model() -> None:
    with pytest.raises(ValueError, match="where shall the model go"):
        check_run(parse_task_arguments(["--task", "vqa", "--config", "vilbert"]))


def test_a_run_of_several_tasks_names_the_tasks_whose_files_are_missing(tmp_path: Path) -> None:
    tasks = {"vqa": {"data": "no/vqa"}, "nlvr2": {"data": str(tmp_path), "val_regions": "no/images"}}
    words = ["--tasks", json.dumps(tasks), "--regions", "no/regions", "--from_pretrained", "./no/model"]
    with pytest.raises(FileNotFoundError) as raised:
        check_multi_task(parse_multi_task_arguments([*words, "--output_dir", str(tmp_path)]))
    assert str(raised.value).splitlines() == [
        "these are missing:",
        "  regions: there is no folder no/regions",
        "  tasks: vqa: data: there is no folder no/vqa",
        "  tasks: nlvr2: val_regions: there is no folder no/images",
        "  from_pretrained: there is no folder ./no/model",
    ]
