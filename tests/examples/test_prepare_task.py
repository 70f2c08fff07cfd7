from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from datasets_vl.shard_folder import ShardFolder
from datasets_vl.tasks.proposals import verified_proposals
from datasets_vl.tasks.table import read_task_description, read_task_table
from tests.datasets_vl.tasks.sample_files import SAMPLES
from tests.datasets_vl.tasks.task_regions import write_regions
from tests.interrupts import listen_to_ctrl_c

SCRIPT = Path(__file__).parents[2] / "examples" / "prepare_task.py"
QUESTIONS = SAMPLES / "vqa" / "v2_OpenEnded_mscoco_train2014_questions.json"
ANNOTATIONS = SAMPLES / "vqa" / "v2_mscoco_train2014_annotations.json"


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, str(SCRIPT), *map(str, arguments)]


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=120)


def test_the_script_prepares_and_says_what_is_missing(tmp_path: Path) -> None:
    shards = [
        write_regions(tmp_path / "a", ["COCO_train2014_000000000009", "x"]),
        write_regions(tmp_path / "b", ["COCO_train2014_000000000025"]),
    ]
    options = ["--questions", QUESTIONS, "--annotations", ANNOTATIONS, "--build-vocabulary", "--min-count", "1"]
    done = run("vqa", tmp_path / "vqa", "--split", "train", "--regions", *shards, *options)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "3 records about 2 images",
        "  1 images without features, 1 times wanted: COCO_train2014_000000000030",
        "  1 images with features and no annotation: x",
        f"see {tmp_path / 'vqa' / 'train.missing.json'}",
    ]
    assert "vqa train" in done.stderr and "records/s" in done.stderr
    assert len(read_task_table(tmp_path / "vqa", "train")) == 3


def test_mistakes_are_told_in_one_line(tmp_path: Path) -> None:
    shards = write_regions(tmp_path / "shards", ["dev-850-0-img0"])
    (tmp_path / "dev.json").write_text('{"identifier": "dev-1-0-0", "sentence": "It is.", "label": "yes"}\n')
    common = ("nlvr2", tmp_path / "out", "--split", "dev", "--regions")
    for arguments, reason in (
        (
            (*common, shards, "--annotations", tmp_path / "dev.json"),
            f"InvalidAnnotation: {tmp_path}/dev.json, line 1: ",
        ),
        ((*common, tmp_path, "--annotations", tmp_path / "dev.json"), f"FileNotFoundError: {tmp_path}/manifest.json"),
    ):
        done = run(*arguments)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1].startswith(reason)
        assert "Traceback" not in done.stderr


def test_options_of_a_vocabulary_go_together(tmp_path: Path) -> None:
    options = ["--split", "train", "--regions", tmp_path, "--questions", QUESTIONS, "--min-count", "3"]
    done = run("vqa", tmp_path / "out", *options)
    assert (done.returncode, done.stderr) == (1, "ValueError: --min-count goes with --build-vocabulary\n")


def test_regions_are_held_against_detections(tmp_path: Path) -> None:
    files = SAMPLES / "refcoco"
    options = ["--refs", files / "refs(unc).p", "--instances", files / "instances.json", "--image_id", "file_name"]
    options += ["--detections", files / "res101_coco_minus_refer_notime_dets.json"]

    def prepare(folder: str, boxes: list[list[float]]) -> subprocess.CompletedProcess[str]:
        shards = write_regions(tmp_path / f"{folder}_regions", {"COCO_train2014_000000581857": boxes})
        return run("refcoco", tmp_path / folder, "--split", "train", "--regions", shards, *options)

    done = prepare("good", [[1, 1, 5, 5], [8, 22, 108, 72]])
    assert done.returncode == 0, done.stderr
    folder = ShardFolder(tmp_path / "good_regions")
    description = read_task_description(tmp_path / "good")
    assert verified_proposals(description, ["train"], folder.fingerprint).startswith("detections of MAttNet's")
    done = prepare("bad", [[1, 1, 5, 5], [8, 22, 108, 72], [10, 20, 110, 70]])
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "ValueError: image 'COCO_train2014_000000581857': 1 of 3 regions are none of the detections of MAttNet's"
    )
    assert not (tmp_path / "bad" / "task.json").exists()


def test_misspelt_options_and_ctrl_c(tmp_path: Path) -> None:
    done = run("vqa", tmp_path / "out", "--spilt", "train")
    assert done.returncode == 2
    assert "there is no option --spilt; did you mean --split?" in done.stderr
    pipe = tmp_path / "questions.json"
    os.mkfifo(pipe)  # nobody writes: the script waits until it is interrupted
    shards = write_regions(tmp_path / "shards", ["x"])
    options = ["--split", "train", "--regions", shards, "--questions", pipe, "--build-vocabulary"]
    waiting = subprocess.Popen(
        command("vqa", tmp_path / "out", *options),
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=listen_to_ctrl_c,
    )
    with open(pipe, "w"):  # opens when the script does
        waiting.send_signal(signal.SIGINT)
        _, said = waiting.communicate(timeout=60)
    assert waiting.returncode == 130
    assert said.endswith("\ninterrupted; start again with the same arguments\n")
    assert "Traceback" not in said


def test_a_killed_run_started_again_leaves_the_same_files(tmp_path: Path) -> None:
    names = [f"dev-{number}-0-img{side}" for number in range(3) for side in (0, 1)]
    shards = write_regions(tmp_path / "shards", names)
    with open(tmp_path / "dev.json", "w") as file:
        for number in range(60_000):
            row = {"identifier": f"dev-{number % 3}-0-{number}", "sentence": f"It is {number}.", "label": "True"}
            file.write(json.dumps(row) + "\n")

    def arguments(folder: str) -> tuple[str | Path, ...]:
        files = ("--regions", shards, "--annotations", tmp_path / "dev.json")
        return ("nlvr2", tmp_path / folder, "--split", "dev", *files)

    killed = subprocess.Popen(command(*arguments("out")), stderr=subprocess.DEVNULL)
    partial = tmp_path / "out" / "dev.parquet.partial"
    while not partial.exists() or partial.stat().st_size < 1000:
        assert killed.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "out" / "task.json").exists()
    assert partial.exists()

    for folder in ("out", "whole"):
        assert run(*arguments(folder)).returncode == 0
    contents = [
        {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir() if path.is_file()}
        for folder in ("out", "whole")
    ]
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"dev.parquet", "dev.missing.json", "task.json"}
    assert len(read_task_table(tmp_path / "out", "dev")) == 60_000
