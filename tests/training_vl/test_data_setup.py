"""From arguments to data."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import torch

from configuration_vl.configuration_vision_language import VisionLanguageConfig
from datasets_vl.parquet import RegionFeaturesMetadata
from tests.tiny_models import vilbert_config, visualbert_config
from tests.training_vl.tiny_data import CLASSES, FEATURES, IMAGES, VALIDATION, WORDS, write_data
from training_vl.arguments import DataArguments, ModelArguments
from training_vl.data_setup import (
    build_collator,
    build_training_data,
    build_validation_batches,
    check_data_fit,
)
from training_vl.model_setup import load_processor

PLACE = {"seed": 0, "rank": 0, "world_size": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


def fitting_config(**fields: object) -> VisionLanguageConfig:
    return vilbert_config(
        visual_embedding_dim=FEATURES, num_region_classes=CLASSES, vocab_size=len(WORDS) + 5, **fields
    )


def arguments_for(data: Path, **changes: object) -> DataArguments:
    return DataArguments(
        regions=str(data / "shards"), captions=str(data / "captions.jsonl"), train_split="train", **changes
    )


@pytest.mark.parametrize("streaming", [False, True])
def test_training_and_validation_data_of_one_folder(data: Path, streaming: bool) -> None:
    config = fitting_config()
    arguments = arguments_for(data, streaming=streaming, val_split="val")
    collator = build_collator(
        arguments, config, load_processor(ModelArguments(tokenizer=str(data / "tokenizer")), config)
    )
    training = build_training_data(arguments, config, collator, batch_size=3, **PLACE)
    assert training.examples_per_epoch == sum(2 + number % 2 for number in range(VALIDATION, IMAGES))
    for batch in islice(training, 3):
        assert {"input_ids", "region_labels", "region_class_probs", "sentence_image_labels"} <= set(batch)
        assert len(batch["input_ids"]) == 3
    batches = list(build_validation_batches(arguments, config, collator, batch_size=4, **PLACE))
    assert sum(len(batch["input_ids"]) for batch in batches) == sum(2 + number % 2 for number in range(VALIDATION))


@pytest.mark.parametrize(("caption_form", "segments"), [("caption", {0}), ("caption_pair", {0, 1}), ("matched", {0})])
def test_forms_of_visualbert(data: Path, caption_form: str, segments: set[int]) -> None:
    config = visualbert_config(visual_embedding_dim=FEATURES, vocab_size=len(WORDS) + 5)
    arguments = arguments_for(data, caption_form=caption_form)
    collator = build_collator(
        arguments, config, load_processor(ModelArguments(tokenizer=str(data / "tokenizer")), config)
    )
    (batch,) = islice(build_training_data(arguments, config, collator, batch_size=32, **PLACE), 1)
    assert set(batch["token_type_ids"].unique().tolist()) == segments
    labels = {-100} if caption_form == "matched" else {0, 1}
    assert set(batch["sentence_image_labels"].tolist()) == labels
    assert "region_labels" not in batch
    assert (batch["labels"] != -100).any()


def test_objective_1_predicts_nothing_of_mismatched_pairs(data: Path) -> None:
    config = fitting_config()
    arguments = arguments_for(data, objective=1)
    collator = build_collator(
        arguments, config, load_processor(ModelArguments(tokenizer=str(data / "tokenizer")), config)
    )
    (batch,) = islice(build_training_data(arguments, config, collator, batch_size=32, **PLACE), 1)
    mismatched = batch["sentence_image_labels"] == 1
    assert mismatched.any()
    for name in ("labels", "region_labels"):
        assert torch.all(batch[name][mismatched] == -100)
        assert (batch[name][~mismatched] != -100).any()


def test_no_validation_unless_it_is_named(data: Path) -> None:
    config = fitting_config()
    arguments = arguments_for(data)
    processor = load_processor(ModelArguments(tokenizer=str(data / "tokenizer")), config)
    collator = build_collator(arguments, config, processor)
    assert build_validation_batches(arguments, config, collator, batch_size=4, **PLACE) is None


@pytest.mark.parametrize(("missing", "message"), [("regions", "which images"), ("captions", "which captions")])
def test_missing_data_are_asked_for(data: Path, missing: str, message: str) -> None:
    config = fitting_config()
    arguments = arguments_for(data)
    processor = load_processor(ModelArguments(tokenizer=str(data / "tokenizer")), config)
    setattr(arguments, missing, None)
    with pytest.raises(ValueError, match=message):
        build_training_data(arguments, config, build_collator(arguments, config, processor), batch_size=3, **PLACE)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (
            {"feature_dim": 2054, "num_classes": CLASSES},
            "2054 numbers a region, the model wants visual_embedding_dim=8",
        ),
        (
            {"feature_dim": FEATURES},
            "shards has no class_probs, from which the region target kl of the model learn.* "
            """--config_overrides '{"region_targets": {"mse": 1.0}}' """
            r"\(mse, nce, huber need nothing but the features, class, object need object ids\)",
        ),
        (
            {"feature_dim": FEATURES, "num_classes": 9},
            "class_probs of 9 classes, the region target kl of the model .* num_region_classes=5: "
            """set --config_overrides '{"num_region_classes": 9}'""",
        ),
    ],
)
def test_data_that_do_not_fit_are_refused_before_training(metadata: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_data_fit(RegionFeaturesMetadata(**metadata), fitting_config(), "shards")


def test_only_the_targets_that_lack_something_are_named() -> None:
    config = fitting_config(region_targets={"kl": 1.0, "mse": 1.0})
    with pytest.raises(ValueError) as error:
        check_data_fit(RegionFeaturesMetadata(feature_dim=FEATURES), config, "shards")
    assert "region target kl of" in str(error.value) and "num_region_classes" not in str(error.value)


def test_features_without_classes_serve_targets_that_need_none() -> None:
    check_data_fit(RegionFeaturesMetadata(feature_dim=FEATURES), fitting_config(region_targets={"mse": 1.0}), "shards")
