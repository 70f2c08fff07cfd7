"""Recipes and command lines."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

from training_vl.arguments import (
    DataArguments,
    ModelArguments,
    TrainingArguments,
    parse_pretraining_arguments,
)
from training_vl.model_setup import load_config

FOLDER = Path(__file__).resolve().parents[2] / "examples" / "recipes"
OTHERS = {"task", "iteration_gap"}  # of fine-tuning, and of several tasks at once
RECIPES = sorted(path for path in FOLDER.glob("*.yaml") if not OTHERS & set(yaml.safe_load(path.read_text())))


def recipe(tmp_path: Path, text: str) -> str:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_parses_and_names_a_valid_config(path: Path) -> None:
    arguments = parse_pretraining_arguments([str(path), "--output_dir", "out"])
    if arguments.model.config is not None:
        config = load_config(arguments.model)
        assert config.model_type in ("vilbert", "visualbert")


def test_the_papers_settings() -> None:
    """Of `vilbert_base_6.yaml`: vilbert-multi-task trained with AdamW, beta2 0.98, no clipping and objective 1."""
    path = next(path for path in RECIPES if path.stem == "vilbert_base_6")
    arguments = parse_pretraining_arguments([str(path)])
    assert load_config(arguments.model).visual_hidden_size == 1024
    training = arguments.training
    assert (training.batch_size, training.learning_rate, training.num_epochs) == (512, 1e-4, 10)
    assert (training.adam_beta2, training.adam_epsilon, training.max_grad_norm) == (0.98, 1e-8, 0)
    assert (arguments.data.objective, arguments.data.overlap_threshold) == (1, 0.4)


def test_the_command_line_wins_over_the_recipe(tmp_path: Path) -> None:
    path = recipe(tmp_path, "max_steps: 100\nlearning_rate: 1e-4\nstreaming: true\nseed: null\n")
    arguments = parse_pretraining_arguments([path, "--max_steps", "10", "--streaming", "false"])
    assert arguments.training.max_steps == 10
    assert arguments.training.learning_rate == 1e-4
    assert arguments.data.streaming is False
    assert arguments.training.seed == 0


def test_lists_from_recipe_and_from_command_line(tmp_path: Path) -> None:
    path = recipe(tmp_path, "schedule: constant\ndrop_epochs: [12, 16]\nseed: 3\n")
    training = parse_pretraining_arguments([path]).training
    assert (training.drop_epochs, training.seed) == ([12.0, 16.0], 3)
    assert parse_pretraining_arguments([path, "--drop_epochs", "5", "7.5"]).training.drop_epochs == [5.0, 7.5]
    with pytest.raises(ValueError, match="drop_epochs belongs to the schedule 'constant', the schedule is 'linear'"):
        parse_pretraining_arguments(["--drop_epochs", "5"])


def test_config_overrides_from_recipe_and_from_command_line(tmp_path: Path) -> None:
    path = recipe(tmp_path, "config_overrides:\n  hidden_size: 64\n  region_targets: {kl: 1.0}\n")
    assert parse_pretraining_arguments([path]).model.config_overrides == {
        "hidden_size": 64,
        "region_targets": {"kl": 1.0},
    }
    arguments = parse_pretraining_arguments([path, "--config_overrides", '{"hidden_size": 32}'])
    assert arguments.model.config_overrides == {"hidden_size": 32}
    with pytest.raises(ValueError, match="config_overrides is no JSON"):
        parse_pretraining_arguments(["--config_overrides", "hidden_size=3"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("learning_rat: 1e-4\n", "recipe.yaml: there is no argument learning_rat; did you mean learning_rate?"),
        ("max_steps: 1.5\n", "recipe.yaml: argument --max_steps/--max-steps: invalid int value: '1.5'"),
        ("objective: 3\n", "recipe.yaml: argument --objective: invalid choice"),
        ("- max_steps\n", "recipe.yaml must map argument names to values, got list"),
        ("max_steps: [\n", "recipe.yaml is no YAML"),
        ("drop_epochs: [soon]\n", "recipe.yaml: argument --drop_epochs/--drop-epochs: invalid float value: 'soon'"),
    ],
)
def test_a_faulty_recipe_is_named_with_the_key(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError) as error:
        parse_pretraining_arguments([recipe(tmp_path, text)])
    assert message in str(error.value)


def test_a_missing_recipe_and_an_unknown_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(FileNotFoundError, match="there is no recipe"):
        parse_pretraining_arguments([str(tmp_path / "other.yaml")])
    with pytest.raises(SystemExit):
        parse_pretraining_arguments(["--max_step", "3"])
    assert "there is no option --max_step; did you mean --max_steps?" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        parse_pretraining_arguments(["--tiny", "true", "recipe.yaml"])
    assert "recipe.yaml belongs to no option; a recipe ends with .yaml and comes first" in capsys.readouterr().err


def test_what_was_typed_is_known_apart_from_the_recipe(tmp_path: Path) -> None:
    path = recipe(tmp_path, "max_steps: 100\nconfig: vilbert\nregions: shards\n")
    arguments = parse_pretraining_arguments([path, "--learning-rate", "0.1", "--seed=0", "--streaming"])
    assert arguments.training.typed == arguments.model.typed == {"learning_rate", "seed", "streaming"}
    assert TrainingArguments().typed == frozenset()


def test_contradictions_are_refused() -> None:
    with pytest.raises(ValueError, match="objective 2 has no mismatched pairs"):
        DataArguments(objective=2)
    with pytest.raises(ValueError, match="leave out config, from_bert"):
        ModelArguments(from_pretrained="model", config="vilbert", from_bert="bert")
    with pytest.raises(ValueError, match="micro_batch_size must be at least 1, got 0"):
        TrainingArguments(micro_batch_size=0)


@pytest.mark.parametrize("group", [ModelArguments, DataArguments, TrainingArguments])
def test_every_field_has_its_docstring_as_help(group: type, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_pretraining_arguments(["--help"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "RECIPE.yaml arguments by name, a line each: 'max_steps: 1000'" in shown
    for field in dataclasses.fields(group):
        assert len(field.metadata["help"]) > 10
        assert f"--{field.name}" in shown
    assert "Whether to stay on the CPU though the machine has an accelerator." in shown
