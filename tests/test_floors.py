"""The order of the floors: who may import whom, what travels to the Hub, what works without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.import_checks import (
    MAX_LINES,
    PACKAGES,
    TORCH_FREE,
    imports_lost_on_the_hub,
    imports_of,
    long_files,
    shared_basenames,
    source_files,
    torch_imports,
    travelling_files,
    upward_imports,
)

ROOT = Path(__file__).resolve().parents[1]

CHECKS = (upward_imports, torch_imports, shared_basenames, imports_lost_on_the_hub, long_files)

BAD_TREE = {
    "configuration_vl/configuration_x.py": "def f() -> None:\n    import torch.nn\n",
    "configuration_vl/helper.py": "from importlib import import_module\n\ntorch = import_module('torch')\n",
    "processing_vl/region_features.py": "from torch import Tensor\n",
    "processing_vl/processor.py": "if TYPE_CHECKING:\n    from modeling_vl.losses import f\n",
    "processing_vl/collator.py": "from . import masking\nimport configuration_vl.x\nfrom configuration_vl import f\n",
    "datasets_vl/readers/tsv.py": "import numpy\nfrom torch.utils import data\nfrom ..scenes import draw\n",
    "datasets_vl/helper.py": "from tests.conftest import real_data\n",
    "datasets_vl/scenes.py": "from ..training_vl import loop\n",
    "modeling_vl/losses.py": "x = 0\n" * (MAX_LINES + 1),
    "modeling_vl/modeling_x.py": "import training_vl\nfrom .losses import f\nfrom configuration_vl.helper import g\n",
    "modeling_vl/conversion/losses.py": "from ..losses import f\n",
    "training_vl/loop.py": "from examples.run import main\n",
    "examples/run.py": "import benchmarks\n",
    "tests/test_x.py": "x = 0\n" * MAX_LINES,
}
"""A tree that breaks every rule, beside imports that are right."""

BAD_TREE_FINDINGS = {
    upward_imports: [
        "processing_vl/processor.py:2",
        "datasets_vl/helper.py:1",
        "datasets_vl/scenes.py:1",
        "modeling_vl/modeling_x.py:1",
        "training_vl/loop.py:1",
        "examples/run.py:1",
    ],
    torch_imports: [
        "configuration_vl/configuration_x.py:2",
        "configuration_vl/helper.py:3",
        "processing_vl/region_features.py:1",
        "datasets_vl/readers/tsv.py:2",
    ],
    shared_basenames: ["configuration_vl/helper.py:1", "modeling_vl/losses.py:1"],
    imports_lost_on_the_hub: [
        "processing_vl/collator.py:1",
        "processing_vl/collator.py:2",
        "processing_vl/collator.py:3",
        "modeling_vl/modeling_x.py:1",
    ],
    long_files: ["modeling_vl/losses.py:1"],
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_house_keeps_its_order(check: Callable[[Path], list[str]]) -> None:
    findings = check(ROOT)
    assert not findings, "\n".join(findings)


@pytest.mark.parametrize("check", CHECKS)
def test_a_bad_tree_is_found_out(check: Callable[[Path], list[str]], tmp_path: Path) -> None:
    for name, source in BAD_TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
    findings = check(tmp_path)
    assert [finding.partition(": ")[0] for finding in findings] == BAD_TREE_FINDINGS[check]


def test_the_checks_see_the_real_tree() -> None:
    """A renamed folder or a moved file must not leave a check with nothing to look at."""
    for package in PACKAGES:
        assert len(source_files(ROOT, package)) > 1, f"no source file found in {package}"
    for pattern in TORCH_FREE:
        assert list(ROOT.glob(pattern)), f"no source file matches {pattern}"
    assert {path.parent.name for path in travelling_files(ROOT)} == {
        "configuration_vl",
        "processing_vl",
        "modeling_vl",
    }
    modules = {imported.module for path in source_files(ROOT, *PACKAGES) for imported in imports_of(path, ROOT)}
    assert {"numpy", "torch", "transformers.configuration_utils", "processing_vl.region_features"} <= modules


IMPORT_WITHOUT_TORCH = """
import importlib
import importlib.util
import pkgutil
import sys

find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name == "torch" else find_spec(name, package)
sys.modules["torch"] = None  # any attempt to import torch now raises ImportError

import configuration_vl

for module in pkgutil.iter_modules(configuration_vl.__path__, "configuration_vl."):
    importlib.import_module(module.name)
print(configuration_vl.ViLBertConfig().model_type, configuration_vl.VisualBertConfig().model_type)
"""


def test_configs_work_without_torch() -> None:
    """In a process that cannot find torch, as on a machine that has only transformers."""
    done = subprocess.run([sys.executable, "-c", IMPORT_WITHOUT_TORCH], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["vilbert", "visualbert"]
