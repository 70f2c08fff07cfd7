"""Real region features go from raw files to a pre-training run whose loss falls."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean

import yaml

from datasets_vl.convert import Conversion, convert
from datasets_vl.local import LocalRegions
from tests.integration.pretraining_runs import run_here
from training_vl.word_tokenizer import save_word_tokenizer

STEPS = 120
SIZES = {
    "hidden_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 96,
}
IMAGE_STREAM = {
    "visual_hidden_size": 48,
    "visual_num_hidden_layers": 1,
    "visual_num_attention_heads": 4,
    "visual_intermediate_size": 96,
    "coattention_hidden_size": 48,
    "coattention_num_attention_heads": 4,
    "text_coattention_ids": [1],
    "visual_coattention_ids": [0],
}


def pretrained_losses(folder: Path, captions: Path, model: str, **fields: object) -> list[float]:
    """Losses of a short run of a small model on the shards in `folder / "regions"`."""
    metadata = LocalRegions(folder / "regions").metadata
    save_word_tokenizer(captions, folder / "tokenizer")
    vocabulary = json.loads((folder / "tokenizer" / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    overrides = {
        **SIZES,
        **(IMAGE_STREAM if model == "vilbert" else {}),
        "vocab_size": len(vocabulary),
        "visual_embedding_dim": metadata.feature_dim,
        **fields,
    }
    recipe = {
        "config": model,
        "config_overrides": overrides,
        "regions": str(folder / "regions"),
        "captions": str(captions),
        "tokenizer": str(folder / "tokenizer"),
        "batch_size": 16,
        "max_steps": STEPS,
        "learning_rate": 2e-3,
        "logging_steps": 1,
        "tensorboard": False,
        "use_cpu": True,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    log = run_here(folder / "recipe.yaml", folder / "run")
    return [entry["train/loss"] for entry in log if "train/loss" in entry]


def assert_falls(losses: list[float]) -> None:
    assert len(losses) == STEPS
    assert mean(losses[-8:]) < 0.8 * mean(losses[:4]), losses


def test_coco_features_of_the_bottom_up_detector(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "coco_butd10"
    convert(
        Conversion(source=str(source / "train2014_obj36.tsv"), format="tsv"), tmp_path / "regions", show_progress=False
    )
    regions = LocalRegions(tmp_path / "regions")
    names = (source / "objects_vocab.txt").read_text(encoding="utf-8").splitlines()
    captions = {}
    for image in regions:
        # These photos come without captions: the names of what the detector is surest of stand for them.
        surest = dict.fromkeys(names[i].split(",")[0] for i in image.object_ids[image.object_scores.argsort()[::-1]])
        captions[image.image_id] = "a picture of " + " and ".join(list(surest)[:4])
    path = tmp_path / "captions.json"
    path.write_text(json.dumps(captions), encoding="utf-8")
    assert len(captions) == 10
    targets = {"object": 1.0, "attribute": 0.5}
    assert_falls(pretrained_losses(tmp_path, path, "vilbert", region_targets=targets))


def test_flickr8k_features_with_human_captions(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "flickr8k_800"
    conversion = Conversion(source=str(source / "features"), format="npz", has_global_region=True)
    convert(conversion, tmp_path / "regions", show_progress=False)
    losses = pretrained_losses(tmp_path, source / "dataset_flickr8k.json", "vilbert", num_region_classes=1000)
    assert_falls(losses)


def test_nlvr_features_with_true_statements(real_data: Path, tmp_path: Path) -> None:
    source = real_data / "nlvr1"
    conversion = Conversion(source=str(source / "nlvr1_regions.h5"), format="h5", has_global_region=True)
    convert(conversion, tmp_path / "regions", show_progress=False)
    assert_falls(pretrained_losses(tmp_path, source / "train.jsonl", "visualbert"))
