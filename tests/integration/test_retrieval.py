"""Retrieval with real processes: two of them train and rank as one does, and a ranking goes on after a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from examples.run_retrieval import RetrievalArguments, retrieve
from hub_cards.scores import read_measurements
from tests.integration.pretraining_runs import ENVIRONMENT, LAUNCH, ROOT
from tests.training_vl.retrieval_data import arguments_of, write_photos

TWO_ON_CPU = [*LAUNCH, "--config_file", str(ROOT / "examples" / "accelerate_configs" / "cpu_2.yaml")]
RANK = str(ROOT / "examples" / "run_retrieval.py")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and in `run` a model that two processes have trained on them."""
    photos = write_photos(tmp_path_factory.mktemp("photos"))
    words = arguments_of(photos, photos / "run", "vilbert", "--start", "least_squares", "--expected_processes", "2")
    command = [*TWO_ON_CPU, str(ROOT / "examples" / "run_finetuning.py"), *words]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (photos / "run" / "checkpoint-6" / "process-00001.pt").is_file()
    return photos


def arguments(photos: Path, output_dir: Path, split: str = "val") -> dict[str, str]:
    return {
        "model": str(photos / "run"),
        "regions": str(photos / "shards"),
        "captions": str(photos / "captions.jsonl"),
        "split": split,
        "output_dir": str(output_dir),
    }


def words(photos: Path, output_dir: Path, split: str = "val") -> list[str]:
    model, *rest = arguments(photos, output_dir, split).items()
    return [RANK, model[1], *(word for name, value in rest for word in (f"--{name}", value)), "--use_cpu"]


def recalls(output_dir: Path) -> dict[str, dict[str, float]]:
    return json.loads((output_dir / "recalls.json").read_text())["recalls"]


def test_two_processes_rank_as_one(photos: Path, tmp_path: Path) -> None:
    command = [*TWO_ON_CPU, *words(photos, tmp_path / "two", "train"), "--pool_size", "3"]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "320 captions, 160 images" in done.stdout
    retrieve(RetrievalArguments(**arguments(photos, tmp_path / "one", "train"), use_cpu=True))
    assert recalls(tmp_path / "two") == recalls(tmp_path / "one")
    assert recalls(tmp_path / "one")["caption to image R@10"]["model"] > 0.5
    for file in sorted((tmp_path / "one" / "scores").glob("*.npy")):
        np.testing.assert_allclose(np.load(tmp_path / "two" / "scores" / file.name), np.load(file), atol=1e-4)
    pool = json.loads((tmp_path / "two" / "pool.json").read_text())
    assert len(pool) == 160
    assert {len(others) for others in pool.values()} == {3}


def test_a_killed_ranking_goes_on(photos: Path, tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, *words(photos, tmp_path, "train")], env=ENVIRONMENT)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("scores/*.npy")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    written = {file: file.stat().st_mtime_ns for file in tmp_path.glob("scores/*.npy")}
    assert not (tmp_path / "recalls.json").exists()
    retrieve(RetrievalArguments(**arguments(photos, tmp_path, "train"), use_cpu=True))
    assert {file: file.stat().st_mtime_ns for file in written} == written
    assert recalls(tmp_path)["caption to image R@10"]["model"] > 0.5
    (of_card,) = read_measurements([f"{tmp_path / 'recalls.json'}=photos"])
    assert {score.name: score.value for score in of_card.scores} == {
        name: row["model"] for name, row in recalls(tmp_path).items()
    }


def test_mistakes_are_told_in_one_line(photos: Path, tmp_path: Path) -> None:
    command = [sys.executable, *words(photos, tmp_path, "test")]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ValueError: ")
    assert "'train', 'val'" in done.stderr


def test_two_stages_rank_almost_as_one(photos: Path, tmp_path: Path) -> None:
    for name, more in (("one", {}), ("two", {"first_stage_split": "train", "top_k": 6})):
        retrieve(RetrievalArguments(**arguments(photos, tmp_path / name), **more, use_cpu=True))
    one, two = (recalls(tmp_path / name)["caption to image R@1"]["model"] for name in ("one", "two"))
    assert one > 0.5
    assert two > one - 0.1


def test_the_first_stage_needs_to_know_how_many_images_to_choose() -> None:
    with pytest.raises(ValueError, match="top_k and first_stage_split belong together"):
        RetrievalArguments(model="m", regions="r", captions="c", output_dir="o", top_k=5)
