"""Fixtures shared by all tests: where real data and the full golden set lie, a Hub, and sums in one order."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.hub import Hub


def _folder_from(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"needs a folder that is not part of the repository: set {variable}")
    folder = Path(value).resolve()
    if not folder.is_dir():
        pytest.fail(f"{variable} names {folder}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real region features named by ``VL_REAL_DATA``."""
    return _folder_from("VL_REAL_DATA")


@pytest.fixture(scope="session")
def golden_fixtures() -> Path:
    """The folder of the full golden set named by ``GOLDEN_FIXTURES``."""
    return _folder_from("GOLDEN_FIXTURES")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    """A Hub on this machine, empty."""
    with Hub(tmp_path / "hub") as running:
        yield running


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums come out the same, bit by bit, only when they are added in the same order."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
