from __future__ import annotations

import base64
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from datasets_vl.manifest import read_manifest
from datasets_vl.shard_reading import iter_shard
from tests.datasets_vl.readers.raw_formats import raw_image, tsv_line, write_tsv
from tests.interrupts import listen_to_ctrl_c

SCRIPT = Path(__file__).parents[2] / "examples" / "convert_region_features.py"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def test_the_script_converts_and_says_what_it_did(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", [raw_image(i) for i in range(5)])
    with open(source, "a") as file:
        file.write(tsv_line({**raw_image(9), "img_w": 20}))
    options = ["--format", "tsv", "--shard-size", "2", "--on-error", "skip", "--append-box-numbers"]
    options += ["--dtype", "float32", "--detector", "BUTD", "--box-policy", "36 fixed"]
    done = run(source, tmp_path / "out", *options)
    assert done.returncode == 0, done.stderr
    assert "5 images with 14 numbers a region in 3 shards, 1 rows left out" in done.stdout
    assert f"left out: {source}, line 6, image 'COCO_train2014_000000000009': box" in done.stdout
    assert "100%" in done.stderr and "skipped=1" in done.stderr
    metadata = read_manifest(tmp_path / "out").metadata
    assert (metadata.feature_dim, metadata.feature_dtype) == (14, "float32")
    assert (metadata.detector, metadata.box_policy, metadata.has_global_region) == ("BUTD", "36 fixed", False)


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    source = tmp_path / "a.tsv"
    source.write_text(tsv_line({**raw_image(9), "img_w": 20}))
    for arguments, reason in (
        ((source, tmp_path / "out", "--format", "tsv"), f"BadRowError: {source}, line 1, image 'COCO_train2014_0"),
        (
            (source, tmp_path / "out", "--format", "npz", "--fields", "a,b"),
            "ValueError: the format 'npz' has no",
        ),
        ((tmp_path / "nowhere", tmp_path / "out", "--format", "npz"), "FileNotFoundError: "),
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.startswith(reason) and done.stderr.count("\n") == 1


def alive_in_session(session: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            status = (entry / "stat").read_text().rsplit(")", 1)[1].split() if entry.name.isdigit() else []
        except (FileNotFoundError, ProcessLookupError):
            continue
        if status and int(status[3]) == session and status[0] != "Z":
            found.append(int(entry.name))
    return found


def assert_nothing_outlives(session: int) -> None:
    patience = time.monotonic() + 20
    while alive_in_session(session):
        assert time.monotonic() < patience, "processes outlived the run that started them"
        time.sleep(0.02)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for left-over processes in /proc")
@pytest.mark.parametrize("num_proc", [1, 2])
def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path, num_proc: int) -> None:
    source = write_tsv(tmp_path / "a.tsv", [raw_image(i, regions=20, dim=1024) for i in range(150)])
    options = ("--format", "tsv", "--shard-size", "3", "--num-proc", str(num_proc))
    out = tmp_path / "out"

    killed = subprocess.Popen(command(source, out, *options), stderr=subprocess.DEVNULL, start_new_session=True)
    while len(list(out.glob("shard-*.parquet"))) < 3:
        assert killed.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL

    assert_nothing_outlives(killed.pid)
    kept = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in out.glob("shard-*.parquet")}
    assert 3 <= len(kept) < 50
    assert not (out / "manifest.json").exists()

    done = run(source, out, *options)
    assert done.returncode == 0, done.stderr
    assert {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in kept} == kept
    assert run(source, tmp_path / "whole", *options[:-1], "1").returncode == 0
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for left-over processes in /proc")
@pytest.mark.parametrize("num_proc", [1, 2])
@pytest.mark.parametrize("moment", ["the first shard is there", "the workers start"])
def test_ctrl_c_ends_with_130_and_one_line(tmp_path: Path, num_proc: int, moment: str) -> None:
    source = write_tsv(tmp_path / "a.tsv", [raw_image(i, regions=20, dim=1024) for i in range(150)])
    out = tmp_path / "out"
    options = ("--format", "tsv", "--shard-size", "1", "--num-proc", str(num_proc))
    run = subprocess.Popen(
        command(source, out, *options),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listen_to_ctrl_c,
    )
    wanted = "shard-*.parquet" if moment == "the first shard is there" else ".cache/huggingface/conversion.json"
    while not list(out.glob(wanted)):
        assert run.poll() is None, "the run ended before it could be interrupted"
        time.sleep(0.002)
    if moment == "the workers start":
        time.sleep(0.05)
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: to all processes at once
    said = run.communicate(timeout=60)[1]
    assert run.returncode == 130, said
    assert "Traceback" not in said
    assert said.endswith("\ninterrupted; start again with the same arguments to go on\n")
    assert_nothing_outlives(run.pid)


def test_a_second_run_into_the_same_folder_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    source = write_tsv(tmp_path / "a.tsv", [raw_image(i, regions=20, dim=1024) for i in range(150)])
    options = ("--format", "tsv", "--shard-size", "1")
    out = tmp_path / "out"
    first = subprocess.Popen(command(source, out, *options), stderr=subprocess.DEVNULL)
    while not list(out.glob("shard-*.parquet")):
        assert first.poll() is None, "the run ended before the second began"
        time.sleep(0.002)
    first.send_signal(signal.SIGSTOP)
    second = run(source, out, *options)
    first.send_signal(signal.SIGCONT)
    assert second.returncode == 1
    assert second.stderr.startswith(f"RuntimeError: another process is writing into {out}: wait until it has ended")
    assert first.wait(timeout=60) == 0
    assert read_manifest(out).num_rows == 150


def test_genuine_features(tmp_path: Path, real_data: Path) -> None:
    source = real_data / "coco_butd10" / "train2014_obj36.tsv"
    done = run(source, tmp_path, "--format", "tsv")
    assert "10 images with 2048 numbers a region in 1 shards, 0 rows left out" in done.stdout, done.stderr
    for line, regions in zip(
        source.read_text().splitlines(), iter_shard(tmp_path / "shard-00000.parquet"), strict=True
    ):
        fields = line.split("\t")
        features = np.frombuffer(base64.b64decode(fields[9]), np.float32).reshape(36, 2048)
        assert regions.image_id == fields[0]
        np.testing.assert_array_equal(regions.features, features.astype(np.float16), strict=True)
