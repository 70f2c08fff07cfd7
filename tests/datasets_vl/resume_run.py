"""Training runs that read data and nothing else: `python -m tests.datasets_vl.resume_run FOLDER STEPS STEPS ...`.

One process a run, all but the last killed. A run goes on from `state-<name>.json` where there is one for every stream
of `STREAMS`, reads `STEPS` batches, and saves what it saw and the state after it. The runs are children of one process
that has read nothing: so imports are paid for once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from itertools import islice
from pathlib import Path

from datasets_vl.local import LocalRegions, LocalTrainingData
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.streaming import StreamedTrainingData
from datasets_vl.training_data import TrainingData
from tests.datasets_vl.small_shards import caption_table, keys_and_sums

SIZES = [70, 1, 130, 29]
STREAMS = [
    (reading, world_size, rank, num_workers)
    for reading in ("local", "streamed")
    for num_workers in (0, 2)
    for world_size in (1, 2, 3)
    for rank in range(world_size)
]


def stream(folder: Path, reading: str, world_size: int, rank: int, num_workers: int) -> TrainingData:
    task = PreTrainingTask(caption_table(range(sum(SIZES))), seed=2)
    place = {"batch_size": 8, "seed": 4, "rank": rank, "world_size": world_size, "num_workers": num_workers}
    if reading == "local":
        return LocalTrainingData(LocalRegions(folder), task, keys_and_sums, **place)
    return StreamedTrainingData(folder, task, keys_and_sums, shuffle_images=25, **place)


def seen(data: TrainingData, steps: int) -> list[dict[str, list[float]]]:
    return [{name: values.tolist() for name, values in batch.items()} for batch in islice(data, steps)]


def name_of(values: tuple[str, int, int, int]) -> str:
    return "-".join(map(str, values))


def run(folder: Path, steps: int, *, killed: bool) -> None:
    for values in STREAMS:
        data = stream(folder, *values)
        state = folder / f"state-{name_of(values)}.json"
        log = folder / f"seen-{name_of(values)}.jsonl"
        if state.exists():
            data.load_state_dict(json.loads(state.read_text()))
        with log.open("a") as file:
            file.writelines(json.dumps(batch) + "\n" for batch in seen(data, steps))
        state.write_text(json.dumps(data.state_dict()))
    last = iter(stream(folder, *STREAMS[-1]))
    next(last)
    if killed:
        # While workers run and have batches ready.
        os.kill(os.getpid(), signal.SIGKILL)


def main(folder: Path, steps_of_runs: list[int]) -> None:
    for number, steps in enumerate(steps_of_runs, start=1):
        child = os.fork()
        if child == 0:
            run(folder, steps, killed=number < len(steps_of_runs))
            sys.exit()
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), [int(steps) for steps in sys.argv[2:]])
