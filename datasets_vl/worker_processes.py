"""Work spread over processes: results in order, a bounded queue, and no process that outlives its parent."""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any

_worker: Any = None


def run_in_processes(
    method: Callable[..., Any],
    jobs: Iterable[tuple[Any, ...]],
    *,
    build: Callable[..., Any],
    arguments: tuple[Any, ...],
    num_proc: int,
) -> Iterator[Any]:
    """Call `method(worker, *job)` for every job, where each process has built its own worker.

    Args:
        method: What to do with a job; it and everything sent to and fro can be pickled.
        jobs: Arguments of the calls; taken while results are asked for, so they may be endless.
        build: Makes a worker.
        arguments: Of `build`.
        num_proc: Number of processes.

    Yields:
        The results, in the order of the jobs.

    Raises:
        RuntimeError: A process died.
    """
    pool = ProcessPoolExecutor(
        num_proc, multiprocessing.get_context("spawn"), initializer=_start, initargs=(build, arguments)
    )
    pending: collections.deque[Future[Any]] = collections.deque()
    try:
        for job in jobs:
            with _ctrl_c_held_back():
                pending.append(pool.submit(_run, method, job))
            if len(pending) > 2 * num_proc:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    except BrokenProcessPool as error:
        raise RuntimeError(
            "a worker process died (out of memory?); start again with the same arguments, and fewer processes"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """Processes that start meanwhile never see Ctrl-C, which a terminal sends to all: the parent answers for them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(build: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    global _worker
    # A killed parent leaves its processes waiting for ever, or, worse, writing beside those of the next run.
    threading.Thread(target=_exit_with_parent, daemon=True).start()
    _worker = build(*arguments)


def _exit_with_parent() -> None:
    multiprocessing.parent_process().join()
    os._exit(1)


def _run(method: Callable[..., Any], job: tuple[Any, ...]) -> Any:
    return method(_worker, *job)
