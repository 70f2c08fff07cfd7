"""A test of transformers that is skipped for no reason of `skips`, or is not although there is one, fails."""

from __future__ import annotations

import unittest
from collections.abc import Generator

import pytest
from transformers.testing_utils import torch_device

from tests.integration.transformers_suite import skips

MARKERS = (
    "slow",
    "accelerate_tests",
    "flash_attn_test",
    "flash_attn_3_test",
    "flash_attn_4_test",
    "torch_compile_test",
)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks that transformers' tests bear."""
    for name in MARKERS:
        config.addinivalue_line("markers", f"{name}: a mark of transformers' own tests")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport]:
    """Compare what happened with the tables."""
    report = yield
    test_class = getattr(item, "cls", None)
    if test_class is None or not issubclass(test_class, unittest.TestCase):
        return report
    test = f"{test_class.__name__}.{item.name}"
    always, lack = skips.reason_for(test), skips.lack_for(test)
    if report.skipped:
        if always or lack:
            report.longrepr = (skips.__file__, None, f"Skipped: {always or lack}")
        else:
            report.outcome = "failed"
            report.longrepr = f"{test} is skipped ({report.longrepr[2]}), and skips.py gives no reason"
    elif report.passed and report.when == "call" and (always or (lack and torch_device == "cpu")):
        report.outcome = "failed"
        report.longrepr = f"{test} ran, but skips.py says why it is skipped: {always or lack}"
    return report
