"""True and false sentences about the built-in scenes as files in the layouts of NLVR2 and SNLI-VE."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from .scene_captions import describe
from .scene_detector import detect
from .scene_files import SceneSplit, image_file, region_tsv, whole_file
from .scene_hypotheses import suppose
from .scene_statements import SCENES_PER_SET, make_statements
from .scenes import Stream


def write_nlvr2(folder: Path, split: SceneSplit, *, feature_dim: int) -> None:
    """Writes `<split>.json` (JSON lines, as the official file of that name), and the pictures' regions.

    There are as many pictures as scenes in the split, rounded up to whole sets. They are other pictures, named as in
    NLVR2; their regions are in `scenes_nlvr2_<split>.tsv`.

    Args:
        folder: Where to.
        split: The scenes.
        feature_dim: Numbers a region.
    """
    with (
        whole_file(folder / f"{split.name}.json") as sentences,
        region_tsv(folder / f"scenes_nlvr2_{split.name}.tsv") as add_regions,
    ):
        for number in range(-(-split.count // SCENES_PER_SET)):
            of_set = make_statements(number, split=split.name, seed=split.seed)
            for pair, scenes in enumerate(of_set.pairs):
                for side, scene in enumerate(scenes):
                    regions = detect(scene, feature_dim=feature_dim).regions
                    add_regions(dataclasses.replace(regions, image_id=of_set.image_id(pair, side)))
            for which, (text, truths) in enumerate(of_set.sentences):
                for pair, is_true in enumerate(truths):
                    row = {
                        "identifier": f"{split.name}-{number}-{pair}-{which}",
                        "sentence": text,
                        "label": str(is_true),
                        "left_url": f"{of_set.image_id(pair, 0)}.png",
                        "right_url": f"{of_set.image_id(pair, 1)}.png",
                        "writer": 0,
                        "validation": [],
                        "synset": "scene",
                        "query": f"scenes{number}",
                    }
                    sentences.write(json.dumps(row) + "\n")
            split.bar.update(min(SCENES_PER_SET, split.count - number * SCENES_PER_SET))


def write_snli_ve(folder: Path, split: SceneSplit) -> None:
    """Writes `snli_ve_<split>.jsonl`; the premise is one of the scene's captions.

    Args:
        folder: Where to.
        split: The scenes.
    """
    with whole_file(folder / f"snli_ve_{split.name}.jsonl") as file:
        for scene in split:
            for sentence, label in suppose(scene, scene.generator(Stream.HYPOTHESES)):
                row = {
                    "annotator_labels": [label],
                    "captionID": f"{image_file(scene)}#0",
                    "gold_label": label,
                    "pairID": f"{image_file(scene)}#0r1{label[0]}",
                    "sentence1": describe(scene)[0].text,
                    "sentence2": sentence,
                    "Flickr30K_ID": scene.image_id,
                }
                file.write(json.dumps(row) + "\n")
