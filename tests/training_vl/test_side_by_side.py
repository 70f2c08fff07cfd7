"""Jobs side by side: real processes that run real scripts."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from training_vl.side_by_side import Job, run_side_by_side

SCRIPT = """
import json
import logging
import os
import re
import sys
import time
from pathlib import Path

logging.basicConfig(format="%(message)s")
folder, action = Path(sys.argv[1]), sys.argv[2]
print("action", action)
logging.warning("logged by %s", folder.name)
if action == "refuse":
    while not (folder.parent / "slow").exists():
        time.sleep(0.05)
    sys.exit("this will not do")
if action == "die":
    os._exit(9)
folder.mkdir(exist_ok=True)
if action == "train":
    (folder / "log.jsonl").write_text(json.dumps({"step": 3, "train/loss": 1.0}) + "\\n")
    (folder / "time.json").write_text(json.dumps([time.time(), os.getpid()]))
if action == "measure":
    (folder / "result.json").write_text(json.dumps([time.time(), os.getpid()]))
if action == "slow":
    time.sleep(2)
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT)
    return path


def job(script: Path, name: str, *actions: str) -> Job:
    folder = script.parent / name
    commands = [[str(script), str(folder), action] for action in actions]
    return Job(title=name, commands=commands, output_dir=folder, steps=3, result=folder / "result.json")


def test_jobs_overlap_have_their_logs_and_are_done_once(script: Path, capfd: pytest.CaptureFixture[str]) -> None:
    jobs = [job(script, name, "train", "slow", "measure") for name in ("one", "two")]
    later, done = job(script, "three", "train", "measure"), job(script, "done", "refuse")
    done.output_dir.mkdir()
    done.result.write_text("kept")
    run_side_by_side([*jobs, done, later], "trying")
    began, ended = zip(
        *(
            [json.loads((each.output_dir / name).read_text()) for name in ("time.json", "result.json")]
            for each in (*jobs, later)
        ),
        strict=True,
    )
    assert max(began[0][0], began[1][0]) < min(ended[0][0], ended[1][0]), "the first two run at the same time"
    assert began[2][0] >= min(ended[0][0], ended[1][0]), "the third waits for a process"
    assert began[2][1] in {began[0][1], began[1][1]}, "a process runs many jobs"
    for name in ("one", "two", "three"):
        log = (script.parent / f"{name}.log").read_text()
        assert log.startswith(f"$ python {script} {script.parent / name} train\naction train\n")
        assert f"logged by {name}\n" in log
        assert log.index("action train") < log.index("action measure")
    printed, told = capfd.readouterr()
    assert [f"trying: {name} took" in printed for name in ("one", "two", "three")] == [True] * 3
    # Without a terminal a line now and then.
    assert re.search(r"^trying: step [36] of 9, loss of (one|two) 1\.000", told, re.MULTILINE)
    assert "action" not in printed
    assert "trying: 1 of 4 are done already" in printed
    assert done.result.read_text() == "kept"
    assert not done.log.exists()
    run_side_by_side([*jobs, done, later], "trying")
    assert "trying: 4 of 4 are done already" in capfd.readouterr().out


def test_a_failure_ends_it_and_keeps_what_others_did(script: Path) -> None:
    jobs = [job(script, "bad", "refuse"), job(script, "slow", "slow", "measure")]
    jobs += [job(script, f"waiting{number}", "measure") for number in range(4)]
    with pytest.raises(RuntimeError, match=r"bad failed: this will not do; see .*bad\.log"):
        run_side_by_side(jobs, "trying")
    assert jobs[1].result.exists(), "a job on its way is finished"
    assert not any(each.output_dir.exists() for each in jobs[2:]), "those that have not begun are not started"


def test_a_killed_process_and_a_missing_result_are_told(script: Path) -> None:
    with pytest.raises(RuntimeError, match="a process was killed, perhaps for lack of memory"):
        run_side_by_side([job(script, "dying", "die")], "trying", at_once=1)
    with pytest.raises(RuntimeError, match=r"empty failed: it ended without writing .*result\.json"):
        run_side_by_side([job(script, "empty", "train")], "trying", at_once=1)


def test_a_job_is_done_while_its_result_is_newer_than_what_it_is_made_from(script: Path) -> None:
    data = script.parent / "data"
    made = replace(job(script, "one", "measure"), made_from=(data,))
    made.output_dir.mkdir()
    made.result.touch()
    for data_time, done in ((1, True), (2**62, False)):
        data.touch()
        os.utime(data, ns=(data_time, data_time))
        assert made.done is done
    assert replace(made, made_from=()).done
