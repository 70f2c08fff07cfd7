"""Reading region features from the disk, and importing the package."""

from __future__ import annotations

import base64
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch

from datasets_vl.local import LocalRegions
from datasets_vl.manifest import RegionShardWriter
from datasets_vl.parquet import RegionFeaturesMetadata
from processing_vl import RegionFeatureExtractor, RegionFeatures

from .measuring import interleave

OURS, LMDB, ARRAY2D = "ours", "LMDB, pickle, base64", "datasets, Array2D"
BATCH_SIZE = 32
IMAGES, REGIONS, FEATURES = 512, 36, 2048
SMALL_REGIONS, SMALL_FEATURES = 2, 8
COUNTS = (1_000, 200_000)


def region_features(images: int = IMAGES, regions: int = REGIONS, features: int = FEATURES) -> dict[str, Any]:
    """Random batches of 32 images, from files to padded tensors.

    Args:
        images: Images on the disk, which the page cache holds.
        regions: Regions of each.
        features: Numbers of each region.

    Returns:
        `seconds` a batch for each way, and `ratios` to ours.
    """
    with tempfile.TemporaryDirectory() as folder:
        readers = {
            OURS: _ours(Path(folder), images, regions, features),
            LMDB: _lmdb(Path(folder), images, regions, features),
            ARRAY2D: _array2d(Path(folder), images, regions, features),
        }
        rng = np.random.default_rng(0)
        batches = [rng.integers(images, size=BATCH_SIZE) for _ in range(8)]
        expected = readers[OURS](batches[0])
        for name, read in readers.items():
            # Ours are stored in float16.
            torch.testing.assert_close(read(batches[0]), expected, rtol=2e-3, atol=1e-4, msg=f"{name} reads others")
        times = interleave(
            {name: lambda read=read: [read(batch) for batch in batches] for name, read in readers.items()}, repeats=5
        )
    seconds = {name: time["seconds"] / len(batches) for name, time in times.items()}
    return {"seconds": seconds, "ratios": {name: seconds[name] / seconds[OURS] for name in (LMDB, ARRAY2D)}}


def data_set_size(counts: tuple[int, ...] = COUNTS) -> dict[str, Any]:
    """Memory and time of random batches from small and large data sets of small images.

    Args:
        counts: Images of each data set.

    Returns:
        For each count, in `anonymous_bytes` the private memory that an open data set and 100 batches take, and the
        `seconds` of a batch.
    """
    memory, seconds = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for count in counts:
            place = Path(folder) / str(count)
            _write(place, count, SMALL_REGIONS, SMALL_FEATURES)
            LocalRegions(place)  # makes the copy that is mapped
            command = [sys.executable, "-c", _READ_BATCHES, str(place), str(BATCH_SIZE)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            memory[count], seconds[count] = (float(word) for word in done.stdout.split())
    return {"anonymous_bytes": memory, "seconds": seconds}


_READ_BATCHES = """
import sys, time
import numpy as np
from datasets_vl.local import LocalRegions

def anonymous():
    for line in open("/proc/self/status"):
        if line.startswith("RssAnon"):
            return int(line.split()[1]) * 1024

before = anonymous()
images = LocalRegions(sys.argv[1])
rng = np.random.default_rng(0)
batches = rng.integers(len(images), size=(100, int(sys.argv[2])))
start = time.perf_counter()
for batch in batches:
    [images[int(image)] for image in batch]
print(anonymous() - before, (time.perf_counter() - start) / len(batches))
"""


def import_time(repeats: int = 5) -> dict[str, Any]:
    """Seconds that a fresh process takes to import the package, and what it cannot do without.

    Args:
        repeats: Times that each is measured.

    Returns:
        `seconds` of each import, and the `difference`.
    """
    statements = {OURS: "import modeling_vl", "transformers": "from transformers import PreTrainedModel"}
    runs = {
        name: lambda statement=statement: subprocess.run([sys.executable, "-c", statement], check=True)
        for name, statement in statements.items()
    }
    times = interleave(runs, repeats)
    seconds = {name: time["fastest"] for name, time in times.items()}
    return {"seconds": seconds, "difference": seconds[OURS] - seconds["transformers"]}


Reader = Callable[[np.ndarray], torch.Tensor]


def _images(count: int, regions: int, features: int) -> Iterator[RegionFeatures]:
    rng = np.random.default_rng(0)
    for number in range(count):
        corners = rng.uniform(0, 300, size=(regions, 2))
        yield RegionFeatures(
            image_id=f"{number:09d}",
            width=640,
            height=480,
            boxes=np.hstack((corners, corners + 100)).astype(np.float32),
            features=rng.random((regions, features), dtype=np.float32),
        )


def _write(folder: Path, count: int, regions: int, features: int) -> None:
    with RegionShardWriter(folder, RegionFeaturesMetadata(feature_dim=features, detector="random")) as writer:
        for image in _images(count, regions, features):
            writer.write(image)


def _ours(folder: Path, count: int, regions: int, features: int) -> Reader:
    _write(folder / "shards", count, regions, features)
    images = LocalRegions(folder / "shards")
    extractor = RegionFeatureExtractor(visual_embedding_dim=features, location_size=5, global_region=None)
    return lambda batch: extractor.encode([images[int(image)] for image in batch])["visual_embeds"]


def _lmdb(folder: Path, count: int, regions: int, features: int) -> Reader:
    import lmdb

    environment = lmdb.open(str(folder / "lmdb"), map_size=1 << 40)
    with environment.begin(write=True) as transaction:
        for image in _images(count, regions, features):
            item = {
                "image_id": image.image_id,
                "image_w": image.width,
                "image_h": image.height,
                "num_boxes": image.num_regions,
                "boxes": base64.b64encode(image.boxes.tobytes()),
                "features": base64.b64encode(image.features.tobytes()),
            }
            transaction.put(image.image_id.encode(), pickle.dumps(item))

    def read(batch: np.ndarray) -> torch.Tensor:
        padded = np.zeros((len(batch), regions, features), dtype=np.float32)
        with environment.begin() as transaction:
            for row, image in enumerate(batch):
                item = pickle.loads(transaction.get(f"{int(image):09d}".encode()))
                values = np.frombuffer(base64.b64decode(item["features"]), dtype=np.float32)
                padded[row, : item["num_boxes"]] = values.reshape(item["num_boxes"], -1)
        return torch.from_numpy(padded)

    return read


def _array2d(folder: Path, count: int, regions: int, features: int) -> Reader:
    columns = datasets.Features({"features": datasets.Array2D((regions, features), "float32")})
    path = folder / "array2d"
    with datasets.arrow_writer.ArrowWriter(path=f"{path}.arrow", features=columns, writer_batch_size=64) as writer:
        for image in _images(count, regions, features):
            writer.write({"features": image.features})
        writer.finalize()
    table = datasets.Dataset.from_file(f"{path}.arrow").with_format("torch")
    return lambda batch: table[[int(image) for image in batch]]["features"]
