"""A training run that reads data and nothing else: `python -m tests.datasets_vl.resume_run FOLDER kill|go STEPS`.

For every stream of `STREAMS` it goes on from `state-<name>.json` where there is one, reads `STEPS` batches, saves what
it saw and the state after it; with `kill` it ends as a killed process ends.
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


def main(folder: Path, ending: str, steps: int) -> None:
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
    if ending == "kill":
        # While workers run and have batches ready.
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
