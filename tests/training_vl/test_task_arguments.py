"""Recipes and command lines of fine-tuning."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from configuration_vl import released_config
from training_vl.arguments import ModelArguments
from training_vl.model_setup import change_config, load_config
from training_vl.multi_task_arguments import of_one_task, parse_multi_task_arguments
from training_vl.retrieval_arguments import parse_finetuning_arguments
from training_vl.task_arguments import FineTuningArguments, TaskDataArguments, parse_task_arguments
from training_vl.tasks import TASKS

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "recipes"
RECIPES = {path.stem: path for path in sorted(FOLDER.glob("*.yaml")) if "task" in yaml.safe_load(path.read_text())}
RELEASED = {"vilbert": "vilbert-base-6", "visualbert": "visualbert-vqa"}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_parses_and_fits_its_model(name: str) -> None:
    words = [str(RECIPES[name])]
    arguments = parse_finetuning_arguments(words)
    longest = arguments.data.max_text_length or TASKS[arguments.data.task].max_text_length
    if arguments.model.config is not None:
        assert longest <= load_config(arguments.model).max_position_embeddings
        return
    models = [model for model in RELEASED if name.endswith(f"_{model}")] or list(RELEASED)
    for model in models:
        config = released_config(RELEASED[model])
        changed = change_config(type(config), config.to_dict(), arguments.model.config_overrides or {})
        assert longest <= changed.max_position_embeddings


def test_every_task_has_a_recipe() -> None:
    named = {yaml.safe_load(path.read_text())["task"] for path in RECIPES.values()}
    # RefCOCO and RefCOCOg go with RefCOCO+'s recipe.
    assert named | {"refcoco", "refcocog"} == {*TASKS, "retrieval"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("vqa_vilbert", (256, 4e-5, 1e-4, 20, [12, 16], None, 16, 100)),
        ("vqa_visualbert", (64, 2e-5, None, 10, None, 3, 128, 100)),
        ("vcr_qa_vilbert", (64, 2e-5, None, 20, [12, 16], None, 60, 100)),
        ("vcr_qar_visualbert", (32, 2e-5, None, 12, None, 3, 128, None)),
        ("nlvr2_vilbert", (64, 2e-5, 1e-4, 20, [5, 7], None, 40, 100)),
        ("gqa_vilbert", (128, 4e-5, 1e-4, 20, [5, 7], 3, 26, 100)),
        ("snli_ve", (256, 2e-5, 1e-4, 20, [5, 7], 3, 56, 100)),
        ("refcoco_visualbert", (256, 1e-4, None, 20, None, None, 20, 36)),
        ("nlvr2_visualbert", (64, 2e-5, None, 10, None, 3, 128, 144)),
        ("refcoco_vilbert", (256, 4e-5, None, 20, [12, 16], None, 20, 100)),
        ("flickr30k_entities_visualbert", (32, 2e-5, None, 5, None, 3, 128, None)),
    ],
)
def test_the_papers_settings(name: str, expected: tuple) -> None:
    arguments = parse_task_arguments([str(RECIPES[name])])
    training = arguments.training
    assert expected == (
        training.batch_size,
        training.learning_rate,
        training.head_learning_rate,
        training.num_epochs,
        training.drop_epochs,
        training.early_stopping_patience,
        arguments.data.max_text_length,
        arguments.model.max_regions,
    )


def test_defaults_need_no_sweep() -> None:
    training = parse_task_arguments(["--task", "vqa"]).training
    assert (training.batch_size, training.learning_rate, training.num_epochs) == (64, 2e-5, 10)
    assert (training.schedule, training.warmup_ratio, training.weight_decay) == ("linear", 0.1, 0.01)


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="early_stopping_patience must be at least 1, got 0"):
        FineTuningArguments(early_stopping_patience=0)
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        FineTuningArguments(batch_size=0)


@pytest.mark.parametrize("group", [ModelArguments, TaskDataArguments, FineTuningArguments])
def test_every_field_has_its_docstring_as_help(group: type, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_task_arguments(["--help"])
    shown = capsys.readouterr().out
    for field in dataclasses.fields(group):
        assert len(field.metadata["help"]) > 10
        assert f"--{field.name}" in shown
    assert "Steps between two evaluations. By default once an epoch." in " ".join(shown.split())


def test_the_help_names_every_task() -> None:
    (text,) = (field.metadata["help"] for field in dataclasses.fields(TaskDataArguments) if field.name == "task")
    assert [name for name in TASKS if f'"{name}"' not in text] == []


def test_the_settings_of_12_in_1() -> None:
    words = [str(FOLDER / "multi_task_vilbert.yaml"), "--tasks", '{"vqa": {"data": "prepared/vqa", "batch_size": 64}}']
    arguments = parse_multi_task_arguments([*words, "--regions", "features", "--val_regions", "others"])
    training = arguments.training
    assert (training.iteration_gap, training.stop_patience, training.stop_threshold) == (4, 1, 0.001)
    assert (training.go_threshold, training.schedule, training.learning_rate) == (0.005, "linear", 2e-5)
    of_task = arguments.data.of_task("vqa")
    assert (of_task.task, of_task.data, of_task.regions, of_task.val_regions) == (
        *("vqa", "prepared/vqa", "features", "others"),
    )
    assert of_one_task(training, arguments.data.tasks["vqa"]).batch_size == 64
    arguments.data.tasks["vqa"]["regions"] = "own"
    # The shared validation images belong to the shared training images.
    assert arguments.data.of_task("vqa").val_regions is None
