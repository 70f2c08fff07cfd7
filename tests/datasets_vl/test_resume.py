from __future__ import annotations

import json
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.streaming import StreamedTrainingData
from datasets_vl.training_data import TrainingData
from tests.datasets_vl.resume_run import SIZES, STREAMS, name_of, seen, stream
from tests.datasets_vl.small_shards import keys_and_sums, matched_task, take, write_shards

ROOT = Path(__file__).resolve().parents[2]
# The second run begins inside epoch 0, the third after its end; the third run ends in a later epoch still.
STEPS = (11, 61, 40)


@pytest.fixture(scope="module")
def killed_twice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What three processes saw, of which two were killed."""
    folder = write_shards(tmp_path_factory.mktemp("shards"), SIZES)
    command = [sys.executable, "-u", "-m", "tests.datasets_vl.resume_run", str(folder), *map(str, STEPS)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert [int(code) for code in run.stdout.split()] == [-signal.SIGKILL, -signal.SIGKILL, 0], run.stderr
    return folder


@pytest.mark.parametrize("values", STREAMS, ids=name_of)
def test_killed_runs_go_on_with_the_very_next_example(killed_twice: Path, values: tuple[str, int, int, int]) -> None:
    lines = (killed_twice / f"seen-{name_of(values)}.jsonl").read_text().splitlines()
    uninterrupted = seen(stream(killed_twice, *values), sum(STEPS))
    assert [json.loads(line) for line in lines] == uninterrupted
    if values[1] == 1:
        assert uninterrupted[-1]["keys"][-1][1] >= 1


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_shards(tmp_path_factory.mktemp("shards"), SIZES)


def streamed(folder: Path, **settings: Any) -> StreamedTrainingData:
    arguments = {"batch_size": 8, "shuffle_images": 25, **settings}
    return StreamedTrainingData(folder, matched_task(range(sum(SIZES))), keys_and_sums, **arguments)


def local(folder: Path, **settings: Any) -> LocalTrainingData:
    arguments = {"batch_size": 8, **settings}
    return LocalTrainingData(LocalRegions(folder), matched_task(range(sum(SIZES))), keys_and_sums, **arguments)


def keys(batches: list[dict[str, torch.Tensor]]) -> list[Any]:
    return [batch["keys"].tolist() for batch in batches]


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("make", [local, streamed])
def test_iterating_again_goes_on(shards: Path, make: type[TrainingData], num_workers: int) -> None:
    """After any number of batches, also one that is no multiple of the number of workers."""
    data = make(shards, num_workers=num_workers)
    parts = [*take(data, 3), *take(data, 1), *take(data, 10)]
    assert keys(parts) == keys(take(make(shards, num_workers=num_workers), 14))


@pytest.mark.parametrize("make", [local, streamed])
def test_state_counts_what_was_handed_out_not_what_was_prepared(shards: Path, make: type[TrainingData]) -> None:
    ahead, plain = make(shards, num_workers=2), make(shards, num_workers=2)
    batches = iter(ahead)
    for _ in range(5):
        next(batches)
        state = ahead.state_dict()
    plain.load_state_dict(state)
    assert keys(take(plain, 6)) == keys(list(islice(batches, 6)))


def test_local_data_resume_with_another_number_of_workers(shards: Path) -> None:
    data, other = local(shards, num_workers=2), local(shards, num_workers=0)
    take(data, 7)
    other.load_state_dict(data.state_dict())
    assert keys(take(other, 5)) == keys(take(data, 5))


def test_state_passes_through_torch_save(shards: Path, tmp_path: Path) -> None:
    data, other = streamed(shards), streamed(shards)
    take(data, 7)
    torch.save(data.state_dict(), tmp_path / "state.pt")
    other.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert keys(take(other, 5)) == keys(take(data, 5))


def test_reading_leaves_torchs_random_state_alone(shards: Path) -> None:
    for make in (local, streamed):
        for num_workers in (0, 2):
            before = torch.get_rng_state()
            take(make(shards, num_workers=num_workers), 2)
            assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (local, {"batch_size": 4}, "batch_size was 8, is 4"),
        (local, {"seed": 1}, "seed was 0, is 1"),
        (local, {"world_size": 2}, "world_size was 1, is 2"),
        (streamed, {"num_workers": 2}, "num_workers was 0, is 2"),
        (streamed, {"world_size": 2}, "world_size was 1, is 2"),
        (streamed, {"world_size": 2, "rank": 1}, "world_size was 1, is 2; rank was 0, is 1"),
        (streamed, {"shuffle_images": 26}, "shuffle_images was 25, is 26"),
    ],
)
def test_other_settings_are_refused_by_name(
    shards: Path, make: type[TrainingData], change: dict[str, int], message: str
) -> None:
    state = make(shards).state_dict()
    with pytest.raises(ValueError, match=f"the saved position means nothing here: {message}"):
        make(shards, **change).load_state_dict(state)


def test_other_data_and_the_other_way_of_reading_are_refused(shards: Path, tmp_path: Path) -> None:
    other = write_shards(tmp_path, [sum(SIZES)])
    for make in (local, streamed):
        with pytest.raises(ValueError, match="data was '.*', is '"):
            make(other).load_state_dict(make(shards).state_dict())
    with pytest.raises(ValueError, match="reading was 'streamed', is 'local'"):
        local(shards).load_state_dict(streamed(shards).state_dict())
