"""What is said at the end of a run."""

from __future__ import annotations

from training_vl.arguments import parse_pretraining_arguments
from training_vl.pretraining import measuring_command

COMMON = ["--output_dir", "runs/my model", "--regions", "train", "--captions", "all.json"]
SCRIPT = "python examples/evaluate_pretraining.py 'runs/my model'"


def test_the_command_measures_as_was_trained() -> None:
    words = ["--val_split", "val", "--caption_image_id", "cocoid", "--caption_form", "matched", "--objective", "2"]
    assert measuring_command(parse_pretraining_arguments([*COMMON, *words])) == (
        f"{SCRIPT} train all.json --split val --caption_image_id cocoid --caption_form matched --objective 2"
    )
    words = ["--val_regions", "other", "--val_captions", "other.json", "--max_text_length", "20"]
    assert measuring_command(parse_pretraining_arguments([*COMMON, *words])) == (
        f"{SCRIPT} other other.json --max_text_length 20"
    )


def test_without_validation_the_images_are_left_open() -> None:
    assert measuring_command(parse_pretraining_arguments(COMMON)) == f"{SCRIPT} REGIONS CAPTIONS"
