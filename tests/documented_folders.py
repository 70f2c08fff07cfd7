"""What the documents' commands and code read, made small: checkpoints, official files, features, trained models.

A snippet may read what is listed here, and what a snippet above it on the same page has written. Everything bears the
name that the documents call it by.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from transformers import BertTokenizer

import modeling_vl
from datasets_vl.convert import Conversion, convert
from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.scene_files import write_scenes
from datasets_vl.tasks.prepare import VocabularySource, prepare_split
from datasets_vl.tasks.records import image_ids_of
from datasets_vl.tasks.registry import BENCHMARKS
from processing_vl import RegionFeatureExtractor, RegionTextProcessor
from tests.datasets_vl.readers.raw_formats import raw_image, write_tsv
from tests.datasets_vl.tasks.sample_files import SAMPLES
from tests.modeling_vl.conversion.small_checkpoints import FINE_TUNED, NAMES, checkpoint
from tests.random_regions import random_regions
from tests.tiny_models import CLASSES, FEATURES, vilbert_config, visualbert_config
from training_vl.word_tokenizer import save_tokenizer_of

ANSWERS = {"id2label": {0: "yes", 1: "no", 2: "cup", 3: "book"}}
TRAINED: dict[str, tuple[str, dict[str, Any]]] = {
    "demo_output/vilbert": ("ViLBertForPreTraining", {}),
    "runs/vilbert-vqa": ("ViLBertForVisualQuestionAnswering", ANSWERS),
    "runs/vilbert-gqa": ("ViLBertForVisualQuestionAnswering", ANSWERS),
    "runs/vilbert-vcr-qa": ("ViLBertForMultipleChoice", {}),
    "runs/visualbert-nlvr2": (
        "VisualBertForSequenceClassification",
        {"num_images": 2, "image_pair_method": "sequence", "id2label": {0: "False", 1: "True"}},
    ),
    "runs/vilbert-snli-ve": (
        "ViLBertForSequenceClassification",
        {"id2label": {0: "contradiction", 1: "neutral", 2: "entailment"}},
    ),
    "runs/vilbert-refcoco+": ("ViLBertForRegionGrounding", {}),
    "runs/visualbert-entities": ("VisualBertForPhraseGrounding", {}),
    "runs/vilbert-flickr30k": ("ViLBertForImageTextRetrieval", {}),
    "runs/vilbert-tasks": (
        "ViLBertForMultiTask",
        {
            "num_task_tokens": 20,
            "multi_task_heads": {
                "vqa": {"kind": "question_answering", **ANSWERS},
                "nlvr2": {"kind": "classification", "num_labels": 2, "num_images": 2},
                "refcoco": {"kind": "referring_expressions"},
            },
        },
    ),
    "runs/visualbert-texts": ("VisualBertForMaskedLM", {}),
}
"""Folders of trained models and their processors: class and config fields."""

CHECKPOINTS: dict[str, tuple[str, str, dict[str, str]]] = {
    "vilbert_beta/pytorch_model_9.bin": ("vilbert_beta/config/bert_base_6layer_6conect.json", "vilbert_beta", NAMES),
    "vilbert_beta/baseline.bin": ("vilbert_beta/config/baseline.json", "vilbert_beta_base", FINE_TUNED),
    "vilbert-multi-task/multi_task_model.bin": (
        "vilbert-multi-task/config/bert_base_6layer_6conect.json",
        "vilbert_multi_task",
        FINE_TUNED,
    ),
    "volta/ctrl_vilbert.bin": ("volta/config/ctrl_vilbert_base.json", "volta_vilbert", NAMES),
    "volta/ctrl_visualbert_vqa.bin": ("volta/config/ctrl_visualbert_base.json", "volta_visualbert", FINE_TUNED),
    "mmf/vilbert.pth": ("mmf/vilbert.yaml", "mmf_vilbert", NAMES),
    "mmf/visual_bert_nlvr2.pth": ("mmf/visual_bert.yaml", "mmf_visualbert", FINE_TUNED),
    "visualbert/coco_pre_trained.th": ("visualbert/configs/coco-pre-train.json", "uclanlp", NAMES),
    "visualbert-vqa-coco-pre/pytorch_model.bin": ("visualbert-vqa-coco-pre/config.json", "transformers", NAMES),
}
"""Original checkpoints, their configs, and the golden file that both are taken from."""

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "is", "it", "cat", "dog", "?", ".")
"""Of the tokenizer that goes with the checkpoints, `bert-base-uncased/vocab.txt`."""


def make_folders(root: Path) -> None:
    """Make everything below `root`."""
    _write_demo(root / "demo_output")
    _write_official_files(root)
    _write_features(root)
    for place, (model_class, fields) in TRAINED.items():
        _save_model(root / place, model_class, fields, root / "demo_output" / "tokenizer")
    for weights, (config, kind, names) in CHECKPOINTS.items():
        _write_checkpoint(root / weights, root / config, kind, names)
    vocabulary = root / "bert-base-uncased" / "vocab.txt"
    vocabulary.parent.mkdir()
    vocabulary.write_text("\n".join(WORDS) + "\n")
    for name in ("train_obj36.tsv", "train2014_obj36.tsv"):
        write_tsv(root / name, [raw_image(0), raw_image(1)])
    _write_mmf_features(root / "mmf" / "features")


def _write_demo(folder: Path) -> None:
    """Regions as `make demo` leaves them, and a tokenizer of small words."""
    write_scenes(folder / "raw", {"val": 3}, feature_dim=FEATURES, progress=False)
    source = Conversion(source=str(folder / "raw" / "scenes_val.tsv"), format="tsv")
    convert(source, folder / "regions" / "val", show_progress=False)
    save_tokenizer_of(["a white ring, a white moon and a green square? two men lift the log."], folder / "tokenizer")


def _save_model(folder: Path, model_class: str, fields: dict[str, Any], tokenizer: Path) -> None:
    words = BertTokenizer.from_pretrained(tokenizer)
    config = (vilbert_config if model_class.startswith("ViLBert") else visualbert_config)(
        vocab_size=len(words), **fields
    )
    words.model_max_length = config.max_position_embeddings
    torch.manual_seed(0)
    getattr(modeling_vl, model_class)(config).save_pretrained(folder)
    RegionTextProcessor(RegionFeatureExtractor.from_model_config(config), words).save_pretrained(folder)


def _write_official_files(root: Path) -> None:
    """The hand-made samples under the names of all splits that the documents prepare."""
    _write_vqa(root)
    copies = {
        "gqa/train_balanced_questions.json": ("train_balanced_questions.json", "val_balanced_questions.json"),
        "vcr/val.jsonl": ("train.jsonl", "val.jsonl"),
        "nlvr2/dev.json": ("train.json", "dev.json"),
        "nlvr1/dev.json": ("nlvr/dev.json",),
        "snli_ve/snli_ve_dev.jsonl": ("snli_ve_train.jsonl", "snli_ve_dev.jsonl"),
        "refcoco/refs(unc).p": ("refs(unc).p",),
        "refcoco/instances.json": ("instances.json",),
    }
    for source, names in copies.items():
        for name in names:
            (root / name).parent.mkdir(exist_ok=True)
            shutil.copy(SAMPLES / source, root / name)
    shutil.copytree(SAMPLES / "vcr" / "vcr1images", root / "vcr1images")
    shutil.copytree(SAMPLES / "flickr30k_entities", root / "flickr30k_entities")


def _write_vqa(root: Path) -> None:
    """The sample ten times over, so that its answers are frequent ones."""
    for kind, source in (
        ("questions", "v2_OpenEnded_mscoco_train2014_questions.json"),
        ("annotations", "v2_mscoco_train2014_annotations.json"),
    ):
        content = json.loads((SAMPLES / "vqa" / source).read_text())
        content[kind] = [
            {**entry, "question_id": entry["question_id"] * 10 + number}
            for number in range(10)
            for entry in content[kind]
        ]
        for name in (source, source.replace("train2014", "val2014")):
            (root / name).write_text(json.dumps(content))


def _write_features(root: Path) -> None:
    """Regions of all images that the official files name; and one split of VQA prepared with them."""
    questions, annotations = (
        [root / "v2_OpenEnded_mscoco_train2014_questions.json"],
        [root / "v2_mscoco_train2014_annotations.json"],
    )
    refs = {"refs": root / "refs(unc).p", "instances": root / "instances.json", "split": "val"}
    vcr = {"annotations": root / "val.jsonl", "images": root / "vcr1images"}
    entities = {"folder": root / "flickr30k_entities"}
    read = {
        "coco": [("vqa", {"questions": questions}), ("refcoco", refs)],
        "gqa": [("gqa", {"questions": [root / "train_balanced_questions.json"]})],
        "vcr": [("vcr", vcr)],
        "nlvr2": [("nlvr2", {"annotations": root / "dev.json"})],
        "nlvr1": [("nlvr1", {"annotations": root / "nlvr" / "dev.json", "image_split": "dev"})],
        "flickr30k": [
            ("snli_ve", {"annotations": root / "snli_ve_dev.jsonl"}),
            *(("flickr30k_entities", {**entities, "split": split}) for split in ("train", "val")),
        ],
    }
    for name, sources in read.items():
        images = [
            image
            for benchmark, options in sources
            for record in BENCHMARKS[benchmark].read(**options)
            for image in image_ids_of(record)
        ]
        _write_regions(root / "features" / name, dict.fromkeys(images))
    prepare_split(
        BENCHMARKS["vqa"],
        root / "prepared" / "vqa",
        split="train",
        regions=[root / "features" / "coco"],
        options={"questions": questions, "annotations": annotations},
        vocabulary=VocabularySource(),
    )


def _write_regions(folder: Path, image_ids: Iterable[str]) -> None:
    with RegionShardWriter(folder, RegionFeaturesMetadata(feature_dim=FEATURES, num_classes=CLASSES)) as writer:
        for number, image_id in enumerate(image_ids):
            writer.write(random_regions(4 + number % 3, feature_dim=FEATURES, num_classes=CLASSES, image_id=image_id))


def _write_checkpoint(weights: Path, config: Path, kind: str, names: dict[str, str]) -> None:
    values, state = checkpoint(kind, names)
    for path in (weights, config):
        path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, weights)
    if kind == "transformers":
        values |= {"model_type": "visual_bert"}
    config.write_text(yaml.safe_dump(values) if config.suffix == ".yaml" else json.dumps(values))


def _write_mmf_features(folder: Path) -> None:
    folder.mkdir(parents=True)
    image = raw_image(0, dim=2048)
    np.save(folder / "kitchen.npy", image["features"])
    info = {"bbox": image["boxes"], "num_boxes": 3, "image_width": image["img_w"], "image_height": image["img_h"]}
    np.save(folder / "kitchen_info.npy", info)
