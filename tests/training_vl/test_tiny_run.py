"""What was typed wins over the values of `--tiny`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.training_vl.tiny_data import FEATURES, write_data, write_recipe
from training_vl.arguments import RunArguments, parse_pretraining_arguments
from training_vl.tiny_run import shrink


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def tiny(data: Path, tmp_path: Path):
    """The arguments of a tiny run of a recipe, with the given words on the command line."""

    def shrunk(*words: str) -> RunArguments:
        recipe = write_recipe(data, "recipe", warmup_steps=50, max_steps=9000, micro_batch_size=2)
        return shrink(parse_pretraining_arguments([str(recipe), "--output_dir", str(tmp_path), "--tiny", *words]))

    return shrunk


def test_a_recipe_gives_way(tiny) -> None:
    arguments = tiny()
    training = arguments.training
    assert (training.max_steps, training.warmup_steps, training.batch_size, training.micro_batch_size) == (
        4,
        1,
        24,
        None,
    )
    assert arguments.model.config_overrides["hidden_size"] == 32


def test_the_command_line_does_not(tiny) -> None:
    training = tiny("--max_steps", "6", "--batch-size", "8", "--save_steps=3").training
    assert (training.max_steps, training.batch_size, training.save_steps, training.eval_steps) == (6, 8, 3, 2)
    training = tiny("--num_epochs", "2", "--warmup_ratio", "0.5").training
    assert (training.max_steps, training.num_epochs) == (None, 2)
    assert (training.warmup_steps, training.warmup_ratio) == (None, 0.5)
    model = tiny("--config_overrides", '{"hidden_size": 48, "visual_embedding_dim": 9}').model
    assert (model.config_overrides["hidden_size"], model.config_overrides["visual_embedding_dim"]) == (48, 9)
    assert model.config_overrides["visual_hidden_size"] == 32
    assert tiny().model.config_overrides["visual_embedding_dim"] == FEATURES


def test_weights_that_are_not_read_are_named(data: Path, tiny, caplog: pytest.LogCaptureFixture) -> None:
    assert tiny("--from_bert", "some/bert").model.from_bert is None
    assert [record.getMessage() for record in caplog.records] == ["--tiny: fresh weights, not those of some/bert"]
