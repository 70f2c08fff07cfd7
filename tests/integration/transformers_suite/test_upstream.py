"""How transformers' tests are fetched, and what is said where they cannot be; pip and pytest are the real ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.integration.transformers_suite.upstream import UpstreamUnavailable, fetch

ROOT = Path(__file__).resolve().parents[3]
VERSION = "0.0.7"
FILES = {
    "setup.py": f"from setuptools import setup\nsetup(name='transformers', version='{VERSION}')\n",
    "tests/test_one_common.py": "ONE = 1\n",
    "tests/models/test_model.py": "",
    "tests/readme.md": "",
}
MISUSED = """
import unittest

class ViLBertTest(unittest.TestCase):
    def test_unknown(self):
        self.skipTest("nobody knows why")

    def test_inputs_embeds(self):
        pass

    @unittest.skip("no plan")
    def test_tp_plan_matches_params(self):
        pass
"""


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, the only place where pip looks for distributions."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    for name, value in {"CONFIG_FILE": os.devnull, "NO_INDEX": "1", "FIND_LINKS": str(folder)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    return folder


def put_source_distribution(shelf: Path) -> None:
    source = shelf.parent / f"transformers-{VERSION}"
    for name, text in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_text(text)
    with tarfile.open(shelf / f"{source.name}.tar.gz", "w:gz") as archive:
        archive.add(source, source.name)


def test_modules_are_fetched_once_and_again_when_damaged(shelf, tmp_path):
    put_source_distribution(shelf)
    cache = tmp_path / "cache"
    with ThreadPoolExecutor() as threads:
        folders = list(threads.map(fetch, [VERSION] * 2, [cache] * 2))
    module = cache / VERSION / "test_one_common.py"
    assert folders == [module.parent] * 2
    assert module.read_text() == "ONE = 1\n"
    assert {file.name for file in module.parent.iterdir()} == {"__init__.py", "SHA256.json", module.name}
    assert not [path for path in cache.iterdir() if path.is_dir() and path != module.parent]

    written = module.stat().st_mtime_ns
    fetch(VERSION, cache)
    assert module.stat().st_mtime_ns == written
    module.write_text("ONE = ")
    fetch(VERSION, cache)
    assert module.read_text() == "ONE = 1\n"


def test_a_failed_fetch_leaves_nothing_and_is_not_repeated_at_once(shelf, tmp_path):
    cache = tmp_path / "cache"
    with pytest.raises(
        UpstreamUnavailable, match=f"no source distribution of transformers {VERSION} .*ERROR: No matching"
    ):
        fetch(VERSION, cache)
    assert not (cache / VERSION).exists()
    put_source_distribution(shelf)
    with pytest.raises(UpstreamUnavailable, match="ERROR: No matching"):
        fetch(VERSION, cache)
    os.utime(cache / f"{VERSION}.unavailable", (0, 0))
    assert (fetch(VERSION, cache) / "test_one_common.py").is_file()


def test_what_cannot_be_had_is_skipped_and_unexplained_skips_fail(shelf, tmp_path):
    (tmp_path / "conftest.py").write_text("from tests.integration.transformers_suite.conftest import *\n")
    (tmp_path / "test_misused.py").write_text(MISUSED)
    upstream_tests = Path(__file__).with_name("test_processor.py")
    command = [sys.executable, "-m", "pytest", "-rsf", "-p", "no:cacheprovider", "--import-mode=importlib"]
    done = subprocess.run(
        [*command, f"--rootdir={ROOT}", str(upstream_tests), str(tmp_path / "test_misused.py")],
        cwd=ROOT,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    said = done.stdout
    assert done.returncode == 1, said + done.stderr
    assert "transformers' tests cannot be had: pip finds no source distribution of transformers" in said
    assert "ViLBertTest.test_unknown is skipped (Skipped: nobody knows why), and skips.py gives no reason" in said
    assert "ViLBertTest.test_inputs_embeds ran, but skips.py says why it is skipped: texts are read as" in said
    assert "skips.py: they have no plan for tensor parallelism" in said
    assert "2 failed, 2 skipped in" in said
