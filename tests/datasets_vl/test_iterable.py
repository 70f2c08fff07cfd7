from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from datasets.distributed import split_dataset_by_node

from datasets_vl.iterable import as_iterable_dataset
from tests.datasets_vl.small_shards import caption_table, image, image_name, write_shards

SIZES = [70, 1, 130, 29]
ROOT = Path(__file__).resolve().parents[2]

# Children of one process, which spares them its imports, end as an interpreter ends: not by os._exit.
# What was imported is exempt from their last garbage collection: visiting it would copy all of its memory.
READ_AND_EXIT = """
import gc, os, sys
from datasets_vl.iterable import as_iterable_dataset
from datasets_vl.evaluation import evaluation_batches
from datasets_vl.shard_folder import ShardFolder
from datasets_vl.streaming import StreamedTrainingData
from tests.datasets_vl.small_shards import keys_and_sums, matched_task, take

def read(kind, folder):
    if kind == "library":
        assert sum(1 for _ in as_iterable_dataset(folder)) == 230
    elif kind == "training":
        take(StreamedTrainingData(folder, matched_task(range(230)), keys_and_sums, batch_size=50), 20)
    else:
        list(evaluation_batches(ShardFolder(folder), matched_task(range(230)), keys_and_sums, batch_size=50))

folder, times = sys.argv[1], int(sys.argv[2])
children = []
gc.freeze()
for kind in ("library", "training", "evaluation"):
    for _ in range(times):
        child = os.fork()
        if child == 0:
            read(kind, folder)
            sys.exit(0)
        children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), SIZES)


def names(rows: Any) -> list[str]:
    return [row["image_id"] for row in rows]


def test_rows_are_the_images_as_arrays(shards: Path) -> None:
    data = as_iterable_dataset(shards)
    assert isinstance(data, datasets.IterableDataset)
    assert data.num_shards == 4
    rows = list(data)
    assert names(rows) == [image_name(number) for number in range(sum(SIZES))]
    for number in (0, 69, 70, 229):
        row, expected = rows[number], image(number)
        assert (row["width"], row["height"], row["has_global_region"]) == (100, expected.height, False)
        assert row["features"].dtype == np.float16
        assert np.array_equal(row["features"], expected.features)
        assert np.array_equal(row["boxes"], expected.boxes)
        assert np.array_equal(row["object_ids"], expected.object_ids)
        assert "class_probs" not in row


def test_captions_are_joined_and_images_without_left_out(shards: Path) -> None:
    rows = list(as_iterable_dataset(shards, caption_table(range(100, 110))))
    assert names(rows) == [image_name(number) for number in range(100, 110)]
    assert rows[1]["captions"] == [f"caption {k} of image 101" for k in range(3)]


def test_the_librarys_own_state_resumes_it(shards: Path) -> None:
    data = as_iterable_dataset(shards)
    rows, state = [], None
    for row in data:
        rows.append(row)
        if len(rows) == 100:
            state = data.state_dict()
            break
    fresh = as_iterable_dataset(shards)
    fresh.load_state_dict(state)
    assert names([*rows, *fresh]) == [image_name(number) for number in range(sum(SIZES))]


def test_the_librarys_own_tools_work_on_it(shards: Path) -> None:
    data = as_iterable_dataset(shards)
    halves = [split_dataset_by_node(data, rank=rank, world_size=2) for rank in range(2)]
    assert sorted(names(halves[0]) + names(halves[1])) == names(data)
    counted = data.map(lambda row: {"regions": len(row["features"])}, remove_columns=["features"])
    assert [row["regions"] for row in counted.take(6)] == [1, 2, 3, 4, 1, 2]


def test_interpreters_exit_cleanly_after_reading_to_the_end(shards: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", READ_AND_EXIT, str(shards), "3"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (run.returncode, run.stdout) == (0, f"{[0] * 9}\n"), run.stderr
