from __future__ import annotations

import dataclasses
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from datasets_vl.bad_rows import BadRowError
from datasets_vl.convert import Conversion, convert, prepare
from datasets_vl.manifest import Manifest, read_manifest
from datasets_vl.parquet import RegionFeaturesMetadata
from datasets_vl.private_folder import sole_writer
from datasets_vl.shard_reading import iter_shard
from datasets_vl.worker_processes import run_in_processes
from processing_vl.region_features import RegionFeatures
from tests.datasets_vl.readers.raw_formats import (
    assert_equal,
    raw_image,
    tsv_line,
    write_h5,
    write_lmdb,
    write_npy,
    write_npz,
    write_tsv,
    write_uniter,
)
from tests.random_regions import random_regions

IMAGES = [raw_image(i, regions=2 + i % 3) for i in range(11)]
IDS = [image["img_id"] for image in IMAGES]
BAD = tsv_line({**raw_image(99), "img_w": 20})


def run(source: Path, folder: Path, format: str = "tsv", *, num_proc: int = 1, **options: Any) -> Manifest:
    conversion = Conversion(source=str(source), format=format, **{"shard_size": 4, **options})
    return convert(conversion, folder, num_proc=num_proc, show_progress=False)


def images_of(folder: Path) -> list[RegionFeatures]:
    return [regions for shard in read_manifest(folder).shards for regions in iter_shard(folder / shard.name)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def write(format: str, folder: Path) -> tuple[Path, dict[str, str]]:
    if format == "lmdb":
        pytest.importorskip("lmdb", reason="needs the extra `formats`")
        return write_lmdb(folder / "a.lmdb", {image["img_id"]: image for image in IMAGES}), {}
    if format == "h5":
        pytest.importorskip("h5py", reason="needs the extra `formats`")
    options = {"image_sizes": str(folder / "sizes.csv")} if format == "uniter" else {}
    writers = {"tsv": write_tsv, "npz": write_npz, "npy": write_npy, "h5": write_h5, "uniter": write_uniter}
    return writers[format](folder / f"a_{format}", IMAGES), options


@pytest.mark.parametrize("format", ["tsv", "npz", "npy", "lmdb", "h5", "uniter"])
def test_every_format_becomes_the_same_shards_in_one_and_in_two_processes(tmp_path: Path, format: str) -> None:
    source, options = write(format, tmp_path)
    manifest = run(source, tmp_path / "one", format, feature_dtype="float32", **options)
    assert [(shard.name, shard.rows) for shard in manifest.shards] == [
        ("shard-00000.parquet", 4),
        ("shard-00001.parquet", 4),
        ("shard-00002.parquet", 3),
    ]
    assert manifest == read_manifest(tmp_path / "one")
    assert [regions.image_id for regions in images_of(tmp_path / "one")] == IDS
    if format != "uniter":
        for regions, image in zip(images_of(tmp_path / "one"), IMAGES, strict=True):
            assert_equal(regions, image)
    run(source, tmp_path / "two", format, num_proc=2, feature_dtype="float32", **options)
    assert contents(tmp_path / "two") == contents(tmp_path / "one")


def test_the_metadata_say_what_was_asked(tmp_path: Path) -> None:
    whole = np.array([[0, 0, 640, 480]], np.float32)
    images = [{**image, "boxes": np.concatenate([whole, image["boxes"][1:]])} for image in IMAGES]
    source = write_npy(tmp_path / "npy", images)
    manifest = run(source, tmp_path / "out", "npy", has_global_region=True, detector="X152", box_policy="100 fixed")
    assert manifest.metadata == RegionFeaturesMetadata(8, 5, "X152", "100 fixed", True, "float16")
    assert all(regions.has_global_region for regions in images_of(tmp_path / "out"))
    with pytest.raises(BadRowError, match="of region 0 should be the whole image"):
        run(write_npy(tmp_path / "others", IMAGES), tmp_path / "no", "npy", has_global_region=True)


def test_the_six_box_numbers_are_appended(tmp_path: Path) -> None:
    run(write_tsv(tmp_path / "a.tsv", IMAGES), tmp_path / "out", append_box_numbers=True, feature_dtype="float32")
    assert read_manifest(tmp_path / "out").metadata.feature_dim == 14
    boxes = np.array([[64, 48, 320, 120]], np.float32)
    regions = random_regions(1, boxes=boxes)
    conversion = Conversion(source="", format="tsv", append_box_numbers=True)
    expected = np.array([[0.1, 0.1, 0.5, 0.25, 0.4, 0.15]])
    np.testing.assert_allclose(prepare(regions, conversion).features[:, 8:], expected, atol=2e-4)
    np.testing.assert_array_equal(prepare(regions, conversion).features[:, :8], regions.features)
    for found, image in zip(images_of(tmp_path / "out"), IMAGES, strict=True):
        np.testing.assert_allclose(found.features[:, 8], image["boxes"][:, 0] / 640, rtol=1e-6)
        np.testing.assert_allclose(
            found.features[:, 13], (image["boxes"][:, 3] - image["boxes"][:, 1]) / 480, rtol=1e-5
        )


@pytest.mark.parametrize("num_proc", [1, 2])
def test_bad_rows_stop_the_conversion_or_are_listed(tmp_path: Path, num_proc: int) -> None:
    lines = [tsv_line(image) for image in IMAGES]
    too_large = {**raw_image(98), "features": np.full((3, 8), 1e5, np.float32)}
    source = tmp_path / "a.tsv"
    source.write_text("".join([*lines[:5], BAD, tsv_line(too_large), *lines[5:], lines[0][:99] + "\n"]))
    with pytest.raises(BadRowError, match=r"a\.tsv, line 6, image 'COCO_train2014_0+99': box .* leaves the image"):
        run(source, tmp_path / "out", num_proc=num_proc)
    assert (tmp_path / "out" / "shard-00000.parquet").exists()

    manifest = run(source, tmp_path / "out", on_error="skip", num_proc=num_proc)
    assert [regions.image_id for regions in images_of(tmp_path / "out")] == IDS
    assert [shard.rows for shard in manifest.shards] == [4, 2, 4, 1]
    assert [(row.file, row.location, row.image_id) for row in manifest.skipped] == [
        (str(source), "line 6", "COCO_train2014_000000000099"),
        (str(source), "line 7", "COCO_train2014_000000000098"),
        (str(source), "line 14", IDS[0]),
    ]
    assert "which float16 cannot hold" in manifest.skipped[1].reason
    stored = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert stored["num_skipped"] == 3 and stored["num_rows"] == 11

    with pytest.raises(BadRowError, match="line 6"):  # what was left out is not forgotten
        run(source, tmp_path / "out")


def test_the_first_good_row_decides_what_the_rows_must_be(tmp_path: Path) -> None:
    images = [*IMAGES[:2], raw_image(50, dim=7), raw_image(51, classes=4)]
    fields = ["image_id", "image_w", "image_h", "num_boxes", "boxes", "features", "cls_prob"]
    source = write_tsv(tmp_path / "a.tsv", images, fields)
    source.write_text("x\ty\n" + source.read_text())
    manifest = run(source, tmp_path / "out", on_error="skip", fields=tuple(fields))
    assert (manifest.metadata.feature_dim, manifest.metadata.num_classes) == (8, 5)
    assert [row.reason for row in manifest.skipped] == [
        "2 fields, expected 7: cut off?",
        "features have 7 numbers a region, expected 8",
        "num_classes is 4, the data set has 5",
    ]


ODD_FIRST_ROW = {"feature_dim": {"dim": 7}, "num_classes": {"classes": 4}}


@pytest.mark.parametrize(("name", "odd"), [("feature_dim", 7), ("num_classes", 4)])
def test_a_first_row_that_is_the_odd_one_does_not_cost_the_others(tmp_path: Path, name: str, odd: int) -> None:
    usual = {"feature_dim": 8, "num_classes": 5}[name]
    images = [raw_image(50, **ODD_FIRST_ROW[name]), *IMAGES]
    source = write_npy(tmp_path / "npy", images)
    (tmp_path / "npy" / f"{images[0]['img_id']}.npy").rename(tmp_path / "npy" / "0.npy")
    flag = name.replace("_", "-")
    with pytest.raises(
        ValueError,
        match=rf"npy: {name} is {odd} in the first row \(image '0'\), but 3 of the first 4 rows have another, most of "
        rf"them {usual}; on_error='skip' would leave all these out. Say with {name} \(--{flag}\)",
    ):
        run(source, tmp_path / "out", "npy", on_error="skip")
    assert not (tmp_path / "out").exists()

    manifest = run(source, tmp_path / "out", "npy", on_error="skip", **{name: usual})
    assert [regions.image_id for regions in images_of(tmp_path / "out")] == IDS
    assert [row.image_id for row in manifest.skipped] == ["0"]


def test_rows_with_and_without_class_probabilities_go_together_without(tmp_path: Path) -> None:
    images = [{key: value for key, value in IMAGES[0].items() if key != "cls_prob"}, *IMAGES[1:]]
    source = write_h5(tmp_path / "a.h5", [])
    import h5py

    with h5py.File(source, "w") as file:
        for image in images:
            for key in {"boxes", "features", "img_w", "img_h", "cls_prob"} & image.keys():
                file[f"{image['img_id']}/{key}"] = image[key]
    with pytest.raises(ValueError, match=r"num_classes is None in the first row .* most of them 5; .*; 0 keeps all"):
        run(source, tmp_path / "out", "h5", on_error="skip")
    with pytest.raises(BadRowError, match="num_classes is 5, the data set has None"):
        run(source, tmp_path / "raise", "h5")
    assert run(source, tmp_path / "five", "h5", on_error="skip", num_classes=5).metadata.num_classes == 5
    assert [regions.image_id for regions in images_of(tmp_path / "five")] == IDS[1:]
    assert run(source, tmp_path / "none", "h5", num_classes=0).metadata.num_classes is None
    assert [regions.image_id for regions in images_of(tmp_path / "none")] == IDS
    assert all(regions.class_probs is None for regions in images_of(tmp_path / "none"))


def test_two_conversions_into_one_folder_do_not_mix(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", IMAGES)
    with sole_writer(tmp_path / "out"), pytest.raises(RuntimeError, match="another process is writing into .*out"):
        run(source, tmp_path / "out")
    run(source, tmp_path / "out")


def test_a_source_without_good_rows_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "a.tsv"
    source.write_text(BAD)
    with pytest.raises(ValueError, match=r"a\.tsv has no good row; the first one: .*a\.tsv, line 1"):
        run(source, tmp_path / "out", on_error="skip")
    source.write_text("")
    with pytest.raises(ValueError, match="first line of .* has 1 fields"):
        run(source, tmp_path / "out", on_error="skip")


def test_shards_without_rows_are_not_listed(tmp_path: Path) -> None:
    source = tmp_path / "a.tsv"
    lines = [tsv_line(image) for image in IMAGES[:3]]
    source.write_text("".join([*lines[:2], BAD, BAD, lines[2]]))
    for _ in range(2):
        manifest = run(source, tmp_path / "out", on_error="skip", shard_size=2)
        assert [shard.name for shard in manifest.shards] == ["shard-00000.parquet", "shard-00002.parquet"]
        assert sorted(contents(tmp_path / "out")) == ["manifest.json", *(shard.name for shard in manifest.shards)]
        assert len(manifest.skipped) == 2


def test_an_image_that_comes_twice_is_kept_once(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", [*IMAGES[:6], IMAGES[1], *IMAGES[6:], IMAGES[1]])
    twice = (
        rf"a\.tsv, line 7, image '{IDS[1]}': the image comes a second time, first in .*a\.tsv, line 2; .*--on-error"
    )
    with pytest.raises(BadRowError, match=twice):
        run(source, tmp_path / "out")
    manifest = run(source, tmp_path / "out", on_error="skip")
    assert [regions.image_id for regions in images_of(tmp_path / "out")] == IDS
    assert [(row.location, row.image_id) for row in manifest.skipped] == [("line 7", IDS[1]), ("line 13", IDS[1])]
    assert manifest.skipped[1].reason == f"the image comes a second time, first in {source}, line 2"
    before = contents(tmp_path / "out")
    run(source, tmp_path / "out", on_error="skip")
    run(source, tmp_path / "again", on_error="skip", num_proc=2)
    assert contents(tmp_path / "out") == contents(tmp_path / "again") == before


def test_rows_left_out_before_do_not_shift_the_place_of_a_second_one(tmp_path: Path) -> None:
    lines = [tsv_line(image) for image in IMAGES[:3]]
    source = tmp_path / "a.tsv"
    source.write_text("".join([lines[0], BAD, lines[1], "\n", BAD, lines[1], lines[2]]))
    manifest = run(source, tmp_path / "out", on_error="skip")
    assert [regions.image_id for regions in images_of(tmp_path / "out")] == IDS[:3]
    assert [row.location for row in manifest.skipped] == ["line 2", "line 5", "line 6"]
    assert manifest.skipped[2].reason.endswith("first in " + f"{source}, line 3")


def test_an_image_in_two_folders_is_told_by_its_files(tmp_path: Path) -> None:
    source = write_npz(tmp_path / "npz", IMAGES[:3])
    again = source / "later" / f"{IDS[1]}.npz"
    again.parent.mkdir()
    shutil.copy(source / f"{IDS[1]}.npz", again)
    manifest = run(source, tmp_path / "out", "npz", on_error="skip", shard_size=2)
    assert manifest.num_rows == 3
    (row,) = manifest.skipped
    assert (row.file, row.location, row.image_id) == (str(again), "", IDS[1])
    assert row.reason == f"the image comes a second time, first in {source / IDS[1]}.npz"


def test_whole_shards_are_kept_and_damaged_ones_made_again(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", IMAGES)
    run(source, tmp_path / "out")
    before = contents(tmp_path / "out")
    paths = [tmp_path / "out" / f"shard-0000{i}.parquet" for i in range(3)]
    damaged = bytearray(before[paths[1].name])
    damaged[300] ^= 1
    paths[1].write_bytes(damaged)
    paths[2].write_bytes(before[paths[2].name][:500])
    kept = paths[0].stat()
    run(source, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert (paths[0].stat().st_mtime_ns, paths[0].stat().st_ino) == (kept.st_mtime_ns, kept.st_ino)


@pytest.mark.parametrize(
    "change",
    [{"shard_size": 5}, {"append_box_numbers": True}, {"feature_dtype": "float32"}, {"detector": "other"}],
)
def test_shards_of_another_conversion_are_not_mixed_in(tmp_path: Path, change: dict[str, Any]) -> None:
    source = write_tsv(tmp_path / "a.tsv", IMAGES)
    run(source, tmp_path / "out")
    with pytest.raises(ValueError, match=r"the shards in .*out were made from another source.*options \(") as error:
        run(source, tmp_path / "out", **change)
    assert str(error.value).count(" was ") == (2 if "append_box_numbers" in change else 1)  # also feature_dim


@pytest.mark.parametrize("format", ["tsv", "npz", "npy", "lmdb", "h5", "uniter"])
def test_a_source_that_changed_is_not_taken_for_what_it_was(tmp_path: Path, format: str) -> None:
    """Features extracted anew have the old names, and often the old sizes."""
    source, options = write(format, tmp_path)
    run(source, tmp_path / "out", format, **options)
    before = contents(tmp_path / "out")
    file = next(source.iterdir()) if format in ("npz", "npy", "uniter") else source
    file = source / "data.mdb" if format == "lmdb" else file
    content, status = file.read_bytes(), file.stat()

    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(ValueError, match="made from another source, before a file of it changed"):
        run(source, tmp_path / "out", format, **options)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    run(source, tmp_path / "out", format, **options)

    file.write_bytes(content + b"\n")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(ValueError, match="made from another source, before a file of it changed"):
        run(source, tmp_path / "out", format, **options)
    file.write_bytes(content)
    run(source, tmp_path / "again", format, **options)
    assert contents(tmp_path / "out") == contents(tmp_path / "again") == before  # the time is no part of the shards


def test_shards_of_unknown_origin_are_not_taken_over(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", IMAGES)
    run(source, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / ".cache")
    with pytest.raises(ValueError, match=r"made from another source.* \(append_box_numbers was None, is False; "):
        run(source, tmp_path / "out")


def test_impossible_arguments_are_refused(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", IMAGES)
    with pytest.raises(ValueError, match="shard_size is 0"):
        run(source, tmp_path / "out", shard_size=0)
    with pytest.raises(ValueError, match="num_proc is 0"):
        run(source, tmp_path / "out", num_proc=0)


def test_the_shards_are_plain_parquet(tmp_path: Path) -> None:
    run(write_tsv(tmp_path / "a.tsv", IMAGES), tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "shard-00000.parquet")
    assert table["image_id"].to_pylist() == IDS[:4]
    assert table["num_regions"].to_pylist() == [2, 3, 4, 2]


@dataclasses.dataclass
class Worker:
    base: int

    def add(self, number: int) -> int:
        if number == 99:
            os._exit(1)
        return self.base + number


def test_processes_give_results_in_order_and_take_endless_jobs() -> None:
    jobs = ((number,) for number in itertools.count())
    results = run_in_processes(Worker.add, jobs, build=Worker, arguments=(100,), num_proc=2)
    assert list(itertools.islice(results, 30)) == list(range(100, 130))
    results.close()


def test_a_process_that_dies_is_an_error_not_a_hang() -> None:
    results = run_in_processes(Worker.add, [(1,), (99,)], build=Worker, arguments=(0,), num_proc=2)
    with pytest.raises(RuntimeError, match="a worker process died"):
        list(results)
