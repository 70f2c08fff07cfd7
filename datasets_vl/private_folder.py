"""What a folder of shards keeps for this machine alone: copies, notes on their making, and who is writing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


def private_folder(folder: Path) -> Path:
    """The one place in a folder that uploading it to the Hub leaves out.

    Args:
        folder: Of shards.

    Returns:
        A folder in it, which need not exist.
    """
    return folder / ".cache" / "huggingface"


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep other processes from writing into a folder; when this one is killed, its claim ends with it.

    Args:
        folder: Of shards; made if need be.

    Yields:
        Nothing.

    Raises:
        RuntimeError: Another process is writing into the folder.
    """
    private = private_folder(folder)
    private.mkdir(parents=True, exist_ok=True)
    lock = FileLock(private / "writer.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise RuntimeError(
            f"another process is writing into {folder}: wait until it has ended, or choose another folder"
        ) from error
    try:
        yield
    finally:
        lock.release()
