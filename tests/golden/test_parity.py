"""Converted models compute what the public code bases compute."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
import torch

from tests.golden import fixtures
from tests.golden.gradients import (
    ABSOLUTE_TOLERANCE,
    GRADIENTS,
    NOTHING_MASKED,
    RELATIVE_TOLERANCE,
    our_norms,
    region_loss_of_nothing,
)
from tests.golden.harness import BACKENDS, LAYOUTS, TOLERANCE, Case
from tests.golden.parity import compare_file

FULL_SET = os.environ.get("GOLDEN_FIXTURES")


def golden_files(storing: str = "outputs") -> list:
    """All files that are compared, or those of them that store something besides outputs."""
    folders = [("committed", fixtures.COMMITTED)]
    if FULL_SET:
        folders.append(("full", Path(FULL_SET).resolve()))
    found = [
        pytest.param(folder, name, id=f"{kind}-{name}")
        for kind, folder in folders
        for name in fixtures.names_in(folder)
        if fixtures.code_base_of(name) and (storing == "outputs" or fixtures.stores(folder, name, storing))
    ]
    if not FULL_SET:
        without = pytest.mark.skip(reason="the full golden set is not part of the repository: set GOLDEN_FIXTURES")
        found.append(pytest.param(Path(), "", id="full", marks=without))
    return found


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("folder", "name"), golden_files())
def test_every_stored_output_is_reproduced(folder, name):
    golden = fixtures.load(folder, name)
    for backend in BACKENDS:
        for layout in LAYOUTS:
            comparisons = compare_file(golden, backend, layout)
            compared = {c.name: c.difference for c in comparisons if c.difference is not None}
            wrong = {name: difference for name, difference in compared.items() if not difference <= TOLERANCE}
            assert not wrong, f"{backend}, {layout}"


@pytest.mark.parametrize(("folder", "name"), golden_files(GRADIENTS))
def test_gradients_of_the_whole_loss(folder, name):
    golden = fixtures.load(folder, name)
    stored = golden.meta[GRADIENTS]
    for backend in BACKENDS:
        for layout in LAYOUTS:
            ours = our_norms(Case(golden, backend, layout))
            assert {name for name in stored if stored[name] is None} == {name for name in stored if ours[name] is None}
            for parameter, norm in stored.items():
                if norm is not None:
                    expected = pytest.approx(norm, rel=RELATIVE_TOLERANCE, abs=ABSOLUTE_TOLERANCE)
                    assert ours[parameter] == expected, (parameter, backend, layout)


@pytest.mark.parametrize(("folder", "name"), golden_files(NOTHING_MASKED))
def test_region_loss_is_zero_without_masked_regions_where_originals_divide_by_zero(folder, name):
    loss = region_loss_of_nothing(Case(fixtures.load(folder, name)))
    assert loss.item() == 0
    assert loss.requires_grad


def test_the_committed_files_cover_every_code_base():
    found = Counter(filter(None, map(fixtures.code_base_of, fixtures.names_in(fixtures.COMMITTED))))
    assert set(found) == set(fixtures.CODE_BASES.values())
    assert sum(path.stat().st_size for path in fixtures.COMMITTED.iterdir()) < 8 * 2**20


def test_every_file_of_the_full_set_is_compared_or_left_out_with_a_reason(golden_fixtures):
    names = fixtures.names_in(golden_fixtures)
    compared = [name for name in names if fixtures.code_base_of(name)]
    assert compared
    assert all(fixtures.reason_not_compared(name) for name in names if name not in compared)
