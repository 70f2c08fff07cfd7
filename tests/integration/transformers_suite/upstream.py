"""The common tests of the installed transformers: fetched from its source distribution, kept in a cache, imported."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import transformers
from filelock import FileLock

PACKAGE = "transformers_common_tests"
MANIFEST = "SHA256.json"
RETRY_SECONDS = 60

CONFIG_FIELDS = {
    "architectures": ["BertModel"],
    "chunk_size_feed_forward": 5,
    "dtype": "float16",
    "id2label": {0: "no", 1: "yes"},
    "is_encoder_decoder": True,
    "label2id": {"no": 0, "yes": 1},
    "output_hidden_states": True,
    "problem_type": "regression",
    "return_dict": False,
}
"""Fields of every config, none at its default: what transformers' own list, which is not distributed, is for."""


class UpstreamUnavailable(Exception):
    """The common tests cannot be had; the message says why."""


def module_or_skip(name: str) -> ModuleType:
    """Import one of the common test modules, for the head of a test module.

    Args:
        name: Such as "test_modeling_common".

    Returns:
        The module. Where it cannot be had, the importing module is skipped, with the reason.
    """
    try:
        folder = fetch(transformers.__version__, cache_folder())
    except UpstreamUnavailable as error:
        pytest.skip(str(error), allow_module_level=True)
    if PACKAGE not in sys.modules:
        _provide(PACKAGE, __path__=[str(folder)])
        # The common modules import these, which are not distributed.
        _provide(f"{PACKAGE}.exporters.test_export", ExportTesterMixin=type("ExportTesterMixin", (), {}))
        _provide(f"{PACKAGE}.generation.test_utils", GenerationTesterMixin=type("GenerationTesterMixin", (), {}))
        _provide(f"{PACKAGE}.utils.test_configuration_utils", config_common_kwargs=CONFIG_FIELDS)
        _provide("fetch_hub_objects_for_ci", url_to_local_path=str)
    return importlib.import_module(f"{PACKAGE}.{name}")


def _provide(name: str, **contents: Any) -> None:
    module = sys.modules[name] = ModuleType(name)
    vars(module).update(contents)


def cache_folder() -> Path:
    """Where fetched tests are kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modeling-vl" / "transformers-tests"


def fetch(version: str, cache: Path) -> Path:
    """The folder of the common tests of one version, fetched when the cache does not have it whole.

    Args:
        version: Version of transformers.
        cache: Folder that keeps the tests of all versions; processes take turns in it.

    Returns:
        A folder with the modules of the source distribution's folder `tests`.

    Raises:
        UpstreamUnavailable: pip could not get the source distribution, now or less than a minute ago.
    """
    cache.mkdir(parents=True, exist_ok=True)
    folder, refusal = cache / version, cache / f"{version}.unavailable"
    with FileLock(cache / f"{version}.lock"):
        if _is_whole(folder):
            return folder
        # The workers of one run must agree on what there is, and need not all wait for a dead network.
        if refusal.exists() and time.time() - refusal.stat().st_mtime < RETRY_SECONDS:
            raise UpstreamUnavailable(refusal.read_text())
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            try:
                archive = _download(version, Path(scratch))
            except UpstreamUnavailable as error:
                refusal.write_text(str(error))
                raise
            unpacked = _unpack(archive, Path(scratch) / "unpacked")
            shutil.rmtree(folder, ignore_errors=True)
            unpacked.replace(folder)
    return folder


def _download(version: str, folder: Path) -> Path:
    """Let pip get the source distribution, whose checksum it compares with the index's."""
    options = ["--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--retries", "1", "--dest", str(folder)]
    command = [sys.executable, "-m", "pip", "download", "--quiet", *options, f"transformers=={version}"]
    done = subprocess.run(command, capture_output=True, text=True)
    archives = list(folder.glob("*.tar.gz"))
    if done.returncode or len(archives) != 1:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise UpstreamUnavailable(
            f"transformers' tests cannot be had: pip finds no source distribution of transformers {version} "
            f"({errors[-1] if errors else done.stderr.strip()})"
        )
    return archives[0]


def _unpack(archive: Path, folder: Path) -> Path:
    """Take the modules of the folder `tests`, not of those below it, and write down their checksums."""
    contents = {"__init__.py": b""}
    with tarfile.open(archive) as files:
        for member in files:
            parts = Path(member.name).parts
            if member.isfile() and parts[1:-1] == ("tests",) and parts[-1].endswith(".py"):
                contents[parts[-1]] = files.extractfile(member).read()
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    (folder / MANIFEST).write_text(json.dumps(sums, indent=1))
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether every module that was written down is there as it was fetched."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return False
    sums = json.loads(manifest.read_text())
    files = {name: folder / name for name in sums}
    return all(
        file.is_file() and hashlib.sha256(file.read_bytes()).hexdigest() == sums[name] for name, file in files.items()
    )
