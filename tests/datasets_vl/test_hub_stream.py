from __future__ import annotations

import json
from pathlib import Path

from datasets_vl.streaming import StreamedTrainingData
from tests.datasets_vl.small_shards import epochs_and_captions, keys_and_sums, matched_task, take, write_shards
from tests.hub.hub import Hub

SIZES = [70, 1, 130, 29]

PUSH_AND_READ = """
import json, sys
from huggingface_hub import HfApi
from datasets_vl.streaming import StreamedTrainingData
from tests.datasets_vl.small_shards import epochs_and_captions, keys_and_sums, matched_task, take

HfApi().create_repo("someone/features", repo_type="dataset")
HfApi().upload_folder(
    repo_id="someone/features", repo_type="dataset", folder_path=sys.argv[1], path_in_repo="train"
)
data = [
    StreamedTrainingData(
        "hf://datasets/someone/features/train", matched_task(range(230)), keys_and_sums, batch_size=16,
        num_workers=workers,
    )
    for workers in (0, 2)
]
print(json.dumps([data[0].examples_per_epoch, *(epochs_and_captions(take(each, 30)) for each in data)]))
"""


def test_data_set_on_the_hub_is_streamed_as_a_local_one(hub: Hub, tmp_path: Path) -> None:
    """Through huggingface_hub's own file system, in this process and in workers, by requests for parts of files."""
    folder = write_shards(tmp_path / "shards", SIZES)
    total, *remote = json.loads(hub.output(PUSH_AND_READ, folder))
    assert total == len(matched_task(range(230)).captions)
    for workers, seen in zip((0, 2), remote, strict=True):
        near = StreamedTrainingData(
            folder, matched_task(range(230)), keys_and_sums, batch_size=16, num_workers=workers
        )
        assert [tuple(pair) for pair in seen] == epochs_and_captions(take(near, 30))
    read = [request for request in hub.requests if request.method == "GET" and request.path.endswith(".parquet")]
    assert {request.status for request in read} == {302, 206}
    assert all(request.range for request in read)
