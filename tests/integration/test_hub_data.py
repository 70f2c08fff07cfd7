"""Region features on the Hub are the files that were written here, and everyone's reader finds them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from datasets_vl.hub_dataset import split_configs
from datasets_vl.local import LocalRegions
from tests.datasets_vl.small_shards import FEATURE_DIM, write_shards
from tests.hub.hub import Hub

PUSH_AND_READ = """
import hashlib, json, os, sys
import numpy as np
from datasets import load_dataset
from huggingface_hub import snapshot_download
from datasets_vl.hub_dataset import push_region_folder
from datasets_vl.local import LocalRegions
from datasets_vl.shard_folder import ShardFolder

def plain(rows):
    return [[row["image_id"], row["num_regions"], hashlib.sha256(row["features"]).hexdigest()] for row in rows]

def ours(folder, **options):
    return [[image.image_id, len(image.boxes), hashlib.sha256(np.ascontiguousarray(image.features)).hexdigest()]
            for image in folder]

folder, seen = sys.argv[1], {}
seen["commits"] = [push_region_folder(folder, "someone/regions", message="first")]
streamed = load_dataset("someone/regions", streaming=True)
seen["streamed by datasets"] = {name: plain(rows) for name, rows in streamed.items()}
seen["loaded by datasets"] = {name: plain(rows) for name, rows in load_dataset("someone/regions").items()}
shards = {name: ShardFolder(f"hf://datasets/someone/regions/{name}") for name in ("train", "val")}
seen["streamed by us"] = {name: ours(pair[1] for pair in each.read(range(len(each)))) for name, each in shards.items()}
local = snapshot_download("someone/regions", repo_type="dataset")
seen["downloaded"] = {name: ours(LocalRegions(f"{local}/{name}")) for name in ("train", "val")}
print(json.dumps(seen), flush=True)
os._exit(0)  # pyarrow's threads may abort an interpreter that ends after datasets has streamed Parquet
"""

PUSH_FEWER = """
import json, os, sys
from datasets import load_dataset
from datasets_vl.hub_dataset import push_region_folder

address = push_region_folder(sys.argv[1], "someone/regions", message="second")
print(json.dumps([
    [row["image_id"] for row in load_dataset("someone/regions", split="train", streaming=True, revision=revision)]
    for revision in ("main", sys.argv[2])
]), flush=True)
os._exit(0)  # as above
"""


def write_data(folder: Path, train: list[int]) -> dict[str, list[Any]]:
    """A data set with its card; name, regions and features of each image by split."""
    splits = {"train": train, "val": [12]}
    for number, (name, sizes) in enumerate(splits.items()):
        write_shards(folder / name, sizes, start=1000 * number)
    card = {"license": "cc-by-4.0", "pretty_name": "Regions", "configs": split_configs(folder)}
    (folder / "README.md").write_text(f"---\n{yaml.safe_dump(card)}---\n\n# Regions\n")
    return {
        name: [
            [image.image_id, len(image.boxes), hashlib.sha256(np.ascontiguousarray(image.features)).hexdigest()]
            for image in LocalRegions(folder / name)
        ]
        for name in splits
    }


def test_a_data_set_is_read_back_by_every_reader(hub: Hub, tmp_path: Path) -> None:
    written = write_data(tmp_path / "regions", [70, 29])
    assert FEATURE_DIM == 8
    seen = json.loads(hub.output(PUSH_AND_READ, tmp_path / "regions"))
    (address,) = seen.pop("commits")
    assert seen == dict.fromkeys(
        ("streamed by datasets", "loaded by datasets", "streamed by us", "downloaded"), written
    )
    first = hub.repository("regions", "dataset").head
    assert address == f"{hub.url}/datasets/someone/regions/commit/{first.oid}"
    names = ["train/manifest.json", "train/shard-00000.parquet", "train/shard-00001.parquet"]
    names += ["val/manifest.json", "val/shard-00000.parquet"]
    assert sorted(first.files) == [".gitattributes", "README.md", *names]
    for name in names:
        assert hub.content("regions", name, "dataset") == (tmp_path / "regions" / name).read_bytes()

    fewer = tmp_path / "fewer"
    kept = write_data(fewer, [70])
    seen_now, seen_then = json.loads(hub.output(PUSH_FEWER, fewer, first.oid))
    assert seen_now == [row[0] for row in kept["train"]]
    assert seen_then == [row[0] for row in written["train"]]
    assert len(hub.uploads()) == 3  # the shards of the second push had all been sent before
