"""Runs of example scripts side by side in a few processes, watched through the runs' logs."""

from __future__ import annotations

import multiprocessing
import os
import runpy
import shlex
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import torch
from tqdm.auto import tqdm

from .training_log import read_log

POLL_SECONDS = 1.0
LOSS = "train/loss"

_stop: Event


@dataclass(frozen=True, kw_only=True)
class Job:
    """Commands that are run one after another, one of which trains.

    Attributes:
        title: What to call it.
        commands: Each the path of a Python script and its command line.
        output_dir: Folder of the training. What the commands print goes to a file beside it, named alike and ending in
            .log.
        steps: Of the training.
        result: The file that is written last.
        made_from: Files that the result depends on, where they may change between two starts.
    """

    title: str
    commands: Sequence[Sequence[str]]
    output_dir: Path
    steps: int
    result: Path
    made_from: Sequence[Path] = ()

    @property
    def done(self) -> bool:
        """Whether the result is there, and newer than all it is made from."""
        return is_newer(self.result, *self.made_from)

    @property
    def log(self) -> Path:
        """Where the output of its commands goes."""
        return self.output_dir.with_name(f"{self.output_dir.name}.log")


def is_newer(result: Path, *made_from: Path) -> bool:
    """Whether `result` is there and newer than all it is `made_from`."""
    return result.is_file() and all(result.stat().st_mtime_ns > source.stat().st_mtime_ns for source in made_from)


def run_side_by_side(jobs: Sequence[Job], title: str, *, at_once: int = 2) -> None:
    """Run jobs, several at once with one thread each, as small models gain little from a second one.

    Jobs that are done are left out. A process runs many jobs, so that libraries are loaded once. When a job
    fails, the others that are on their way are finished and no more are started.

    Args:
        jobs: What to run, in this order.
        title: Of the progress bar.
        at_once: How many at the same time.

    Raises:
        RuntimeError: If a job fails; the message says what it ended with and where its log is.
    """
    waiting = [job for job in jobs if not job.done]
    if len(waiting) < len(jobs):
        print(f"{title}: {len(jobs) - len(waiting)} of {len(jobs)} are done already", flush=True)
    if not waiting:
        return
    # A forked process would inherit the threads of libraries in an unknown state.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    workers = min(at_once, len(waiting))
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin, initargs=(stop,))
    with pool, tqdm(total=sum(job.steps for job in waiting), desc=title, unit="step", disable=None) as bar:
        futures = {pool.submit(_run, job): job for job in waiting}
        try:
            _watch(futures, title, bar)
        except BaseException:
            # Leaving the pool waits for all that are not cancelled, and one that is next in line cannot be.
            stop.set()
            for future in futures:
                future.cancel()
            raise


def _watch(futures: dict[Future[float | None], Job], title: str, bar: tqdm) -> None:
    unfinished, finished_steps = set(futures), 0
    while unfinished:
        done, unfinished = wait(unfinished, POLL_SECONDS, FIRST_COMPLETED)
        for future in done:
            job = futures[future]
            try:
                seconds = future.result()
            except BrokenProcessPool:
                raise RuntimeError(
                    f"a process was killed, perhaps for lack of memory, during or before {job.title}; "
                    f"see {job.log.parent}"
                ) from None
            if seconds is None:
                continue  # the failed job is among the others
            finished_steps += job.steps
            bar.write(f"{title}: {job.title} took {seconds:.0f} s, {len(unfinished)} left")
        running = [futures[future] for future in unfinished if future.running()]
        bar.set_postfix(_losses(running), refresh=False)
        told = 10 * bar.n // bar.total
        bar.n = finished_steps + sum(_last_step(job) for job in running)
        bar.refresh()
        if bar.disable and 10 * bar.n // bar.total > told:
            losses = "".join(f", {name} {loss}" for name, loss in _losses(running).items())
            print(f"{title}: step {bar.n} of {bar.total}{losses}", file=sys.stderr, flush=True)


def _last_step(job: Job) -> int:
    return max((int(entry["step"]) for entry in read_log(job.output_dir)), default=0)


def _losses(jobs: Iterable[Job]) -> dict[str, str]:
    """The last loss of each job that has logged one."""
    losses = {job.title: [entry[LOSS] for entry in read_log(job.output_dir) if LOSS in entry] for job in jobs}
    return {f"loss of {title}": f"{of_job[-1]:.3f}" for title, of_job in losses.items() if of_job}


def _begin(stop: Event) -> None:
    """Prepare a process for jobs; none is started any more once `stop` is set."""
    global _stop
    _stop = stop
    torch.set_num_threads(1)


def _run(job: Job) -> float | None:
    """Run a job in this process; gives the seconds it took, None if another one had failed before."""
    if _stop.is_set():
        return None
    started = time.monotonic()
    job.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _printing_to(job.log):
            for command in job.commands:
                _call(command)
        if not job.result.is_file():
            raise RuntimeError(f"it ended without writing {job.result}")
    except BaseException as error:
        _stop.set()  # here, as this process would take the next job before the failure is known elsewhere
        if isinstance(error, RuntimeError | SystemExit):
            raise RuntimeError(f"{job.title} failed: {error}; see {job.log}") from None
        raise
    return time.monotonic() - started


def _call(command: Sequence[str]) -> None:
    """Run a script in this process as Python would."""
    print(f"$ {shlex.join(['python', *command])}", flush=True)
    sys.argv = list(command)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if end.code:
            raise


@contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Send standard output and error to a file, also for those who hold on to these streams, as loggers do."""
    streams = (sys.stdout, sys.stderr)
    kept = [os.dup(stream.fileno()) for stream in streams]
    with path.open("w", encoding="utf-8") as file:
        try:
            for stream in streams:
                stream.flush()
                os.dup2(file.fileno(), stream.fileno())
            yield
        finally:
            for stream, descriptor in zip(streams, kept, strict=True):
                stream.flush()
                os.dup2(descriptor, stream.fileno())
                os.close(descriptor)
