"""setup.cfg declares what the packages consist of and every distribution they import."""

from __future__ import annotations

import configparser
import re
import subprocess
import sys
from fnmatch import fnmatchcase
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.import_checks import PACKAGES, ROOMS, imports_of, place, source_files

ROOT = Path(__file__).resolve().parents[1]

EXTRAS_OF_USERS = ("formats", "export", "train", "demo")
DEVELOPMENT_ONLY = ("docs", "dev")


def setup_cfg(root: Path) -> configparser.ConfigParser:
    """The settings of a source tree."""
    settings = configparser.ConfigParser()
    settings.read(root / "setup.cfg", encoding="utf-8")
    return settings


def normalised(distribution: str) -> str:
    """A distribution's name as the packaging standards compare it: lower case, with `-` for runs of `-`, `_`, `.`."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def required(requirements: str) -> set[str]:
    """Names of the distributions in a block of requirements, one a line."""
    return {normalised(re.split(r"[<>=!~;\[ ]", line)[0]) for line in requirements.split("\n") if line}


def undeclared_imports(root: Path) -> list[str]:
    """Imports of the rooms from distributions that neither `install_requires` nor an extra of users names.

    A folder with a `requirements.txt` of its own, such as the page of a demo Space, runs where nothing else is.
    """
    settings = setup_cfg(root)
    extras = settings["options.extras_require"]
    declared = required(settings["options"]["install_requires"]).union(
        *(required(extras[name]) for name in EXTRAS_OF_USERS)
    )
    installed = packages_distributions()
    findings = []
    for path in source_files(root, *ROOMS):
        own = path.with_name("requirements.txt")
        known = required(own.read_text(encoding="utf-8")) if own.is_file() else declared
        for imported in imports_of(path, root):
            name = imported.top_level
            if name in sys.stdlib_module_names or name in ROOMS:
                continue
            providers = {normalised(distribution) for distribution in installed.get(name, [name])}
            if not providers & known:
                file = own.relative_to(root).as_posix() if own.is_file() else "setup.cfg"
                findings.append(f"{place(path, root, imported.line)}: {file} does not declare {name}")
    return findings


def forgotten_packages(root: Path) -> list[str]:
    """Folders of the packages that an installation would leave out."""
    settings = setup_cfg(root)
    patterns = settings["options.packages.find"]["include"].split()
    data = dict(settings["options.package_data"]) if "options.package_data" in settings else {}
    folders = sorted({path.parent for path in source_files(root, *PACKAGES)})
    return [
        place(folder, root)
        for folder in folders
        if not _is_package(folder, folder.relative_to(root), patterns) and not _is_data(folder.relative_to(root), data)
    ]


def _is_package(folder: Path, relative: Path, patterns: list[str]) -> bool:
    name = ".".join(relative.parts)
    return (folder / "__init__.py").is_file() and any(fnmatchcase(name, pattern) for pattern in patterns)


def _is_data(relative: Path, data: dict[str, str]) -> bool:
    """Whether package data of the topmost package take in the Python files of one of its folders."""
    package, *inner = relative.parts
    patterns = [pattern.split("/") for pattern in data.get(package, "").split()]
    return any(
        len(pattern) == len(inner) + 1 and all(map(fnmatchcase, (*inner, "any.py"), pattern)) for pattern in patterns
    )


def write_tree(root: Path, files: dict[str, str]) -> None:
    """Write files with these contents below `root`."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_every_import_is_declared() -> None:
    findings = undeclared_imports(ROOT)
    assert not findings, "\n".join(findings)


def test_every_package_is_installed() -> None:
    assert forgotten_packages(ROOT) == []


def test_extras_are_the_documented_ones() -> None:
    assert set(setup_cfg(ROOT)["options.extras_require"]) == {*EXTRAS_OF_USERS, *DEVELOPMENT_ONLY}


def test_faults_are_found_out(tmp_path: Path) -> None:
    write_tree(
        tmp_path,
        {
            "setup.cfg": "[options]\ninstall_requires =\n    PyYAML>=6\n    modeling-vl[train]\n"
            "[options.packages.find]\ninclude =\n    modeling_vl*\n"
            "[options.package_data]\nmodeling_vl = */*.py\n"
            "[options.extras_require]\nformats =\n    h5py\nexport =\ntrain =\ndemo =\ndev =\n    pytest\n",
            "modeling_vl/__init__.py": "import os\n\nimport yaml\n",
            "modeling_vl/parts/__init__.py": "from modeling_vl import yaml\n",
            "modeling_vl/conversion/rules/bare.py": "def f() -> None:\n    import h5py\n    import numpy.linalg\n",
            "modeling_vl/metric/metric.py": "",
            "modeling_vl/metric/deeper/metric.py": "",
            "training_vl/__init__.py": "import pytest\nimport not_installed_anywhere\n",
            "hub_cards/page/requirements.txt": "not_installed_anywhere>=1\n",
            "hub_cards/page/app.py": "import not_installed_anywhere\nimport yaml\n",
        },
    )
    assert undeclared_imports(tmp_path) == [
        "hub_cards/page/app.py:2: hub_cards/page/requirements.txt does not declare yaml",
        "modeling_vl/conversion/rules/bare.py:3: setup.cfg does not declare numpy",
        "training_vl/__init__.py:1: setup.cfg does not declare pytest",
        "training_vl/__init__.py:2: setup.cfg does not declare not_installed_anywhere",
    ]
    forgotten = ["hub_cards/page:1", "modeling_vl/conversion/rules:1", "modeling_vl/metric/deeper:1", "training_vl:1"]
    assert forgotten_packages(tmp_path) == forgotten


IMPORT_WITHOUT_EXTRAS = f"""
import importlib
import sys

extras = ("h5py", "lmdb", "matplotlib", "onnx_ir", "onnxruntime", "PIL", "tensorboard")
sys.modules.update(dict.fromkeys(extras))
for package in {PACKAGES}:
    importlib.import_module(package)
"""


def test_packages_import_without_the_extras() -> None:
    """A module that needs an extra must be imported only where it is used."""
    done = subprocess.run([sys.executable, "-c", IMPORT_WITHOUT_EXTRAS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
