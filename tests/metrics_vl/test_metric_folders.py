"""Every metric folder loads with `evaluate` in a fresh process without a network, alone and in two processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from metrics_vl.shares import flat
from tests.metrics_vl.metric_runs import CASES, IDS, METRICS

ROOT = METRICS.parent


def start(process: int, folder: Path) -> subprocess.Popen[str]:
    # A home of its own, so that nothing is found that an earlier run has left.
    environment = {**os.environ, "HF_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.metrics_vl.metric_runs", str(process), str(folder / "cache")],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process: subprocess.Popen[str]) -> dict[tuple[str, str], object]:
    """What a process printed, by how a metric was run and by its name."""
    out, errors = process.communicate(timeout=180)
    assert process.returncode == 0, errors
    return {(how, name): result for how, name, result in map(json.loads, out.splitlines())}


def expected(name: str) -> dict:
    """What the pure function says of all examples, as JSON has it."""
    case = CASES[name]
    keyed = (dict(zip(IDS, column, strict=True)) for column in (case.predictions, case.references))
    return json.loads(json.dumps(flat(case.score(*keyed))))


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[dict]:
    """Of the first and of the second process."""
    folder = tmp_path_factory.mktemp("metrics")
    processes = [start(process, folder) for process in range(2)]
    return [output(process) for process in processes]


def test_there_is_a_case_for_every_folder() -> None:
    assert {path.parent.name for path in METRICS.glob("*/*.py")} == set(CASES)
    assert all((METRICS / name / f"{name}.py").is_file() for name in CASES)


@pytest.mark.parametrize("name", CASES)
def test_scores_are_those_of_the_pure_function(outputs: list[dict], name: str) -> None:
    assert outputs[0]["alone", name] == expected(name)


@pytest.mark.parametrize("name", CASES)
def test_two_processes_score_all_examples_in_the_first(outputs: list[dict], name: str) -> None:
    assert outputs[0]["shared", name] == expected(name)
    assert outputs[1]["shared", name] is None


@pytest.mark.parametrize("name", CASES)
def test_an_example_that_comes_twice_is_named(outputs: list[dict], name: str) -> None:
    """As when processes pad their last batch: evaluate itself would count it twice."""
    assert outputs[0]["twice", name] == "every example counts once, but some come more than once: 'd'"
