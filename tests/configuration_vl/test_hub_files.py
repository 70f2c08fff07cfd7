"""Flat copies: which files go along, what becomes of their imports, and what is never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from configuration_vl.hub_files import MARK, write_flat_copies

TREE = {
    "ground/sizes.py": "WIDTH = 3  # from ground.sizes import nothing\n",
    "ground/unused.py": "WIDTH = 4\n",
    "upper/heads.py": (
        '"""A head."""\n\n'
        "import os\n"
        "from typing import TYPE_CHECKING\n\n"
        "from ground.sizes import (\n    WIDTH,  # kept\n)\n\n"
        "if TYPE_CHECKING:\n    from .shapes import Shape\n"
    ),
    "upper/shapes.py": "from .heads import WIDTH as Shape\n",
}
COPIES = {
    "heads.py": TREE["upper/heads.py"].replace("from ground.sizes import", "from .sizes import"),
    "shapes.py": TREE["upper/shapes.py"],
    "sizes.py": TREE["ground/sizes.py"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, TREE)
    return tmp_path


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def copy(root: Path, folder: Path, *names: str, links: dict[str, list[str]] | None = None) -> dict[str, str]:
    """Copy files of the tree `root` into `folder`, and return what lies there."""
    packages = {"ground": root / "ground", "upper": root / "upper"}
    by_file = {root / name: lines for name, lines in (links or {}).items()}
    written = write_flat_copies(folder, [root / name for name in names], packages, by_file)
    assert written == sorted(folder.glob("*.py"))
    return {path.name: path.read_text() for path in folder.iterdir()}


def test_what_a_file_needs_goes_along_with_flat_imports(root: Path) -> None:
    assert copy(root, root / "out" / "deep", "upper/heads.py") == {name: MARK + text for name, text in COPIES.items()}


def test_copies_of_copies_are_the_same(root: Path) -> None:
    links = {"upper/heads.py": ["from .sizes import WIDTH"]}
    first = copy(root, root / "out", "upper/heads.py", links=links)
    assert first["heads.py"].endswith("again\n    from .sizes import WIDTH\n")
    compile(first["heads.py"], "heads.py", "exec")
    assert copy(root, root / "again", "out/heads.py", links={"out/heads.py": ["from .shapes import Shape"]}) == first


def test_older_copies_and_originals_are_replaced_and_equal_files_keep_their_dates(root: Path) -> None:
    out = root / "out"
    write(
        out, {"heads.py": f"{MARK}old = True\n", "sizes.py": TREE["ground/sizes.py"], "old.py": f"{MARK}old = True\n"}
    )
    packages = {"ground": root / "ground", "upper": root / "upper"}
    write_flat_copies(out, [root / "upper/heads.py"], packages, {})
    copies = {path.name: path.read_text() for path in out.iterdir()}
    assert copies == {**{name: MARK + text for name, text in COPIES.items()}, "old.py": f"{MARK}old = True\n"}
    for path in out.iterdir():
        os.utime(path, (1, 1))
    write(root, {"upper/shapes.py": "Shape = None\n"})
    write_flat_copies(out, [root / "upper/heads.py"], packages, {})
    assert [path.name for path in out.iterdir() if path.stat().st_mtime != 1] == ["shapes.py"]


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("import ground.sizes", r"bad\.py:2: `import ground.sizes` does not work"),
        ("from ground import sizes", r"bad\.py:2: `from ground import` does not work"),
        ("from ground.deep.sizes import WIDTH", "`from ground.deep.sizes import` does not work"),
        ("from  ground.sizes import WIDTH", "`from ground.sizes import` does not work .* on one line"),
        ("from . import shapes", r"`from \. import` does not work"),
        ("from .deep.shapes import Shape", r"`from \.deep\.shapes import` does not work"),
        ("from ..ground.sizes import WIDTH", r"`from \.\.ground\.sizes import` does not work"),
        ("from .missing import x", r"imports \['.*missing\.py'\], which are no files"),
        ("from .sizes import x", "have the same name, and would overwrite each other"),
    ],
)
def test_what_does_not_travel_is_refused_before_anything_is_written(root: Path, statement: str, message: str) -> None:
    write(root, {"upper/bad.py": f"from ground.sizes import WIDTH\n{statement}\n", "upper/sizes.py": ""})
    if statement == "from .missing import x":
        (root / "upper" / "sizes.py").unlink()
    with pytest.raises(ValueError, match=message):
        copy(root, root / "out", "upper/bad.py")
    assert not (root / "out").exists()


def test_a_file_of_somebody_else_is_not_overwritten(root: Path) -> None:
    write(root / "out", {"sizes.py": "WIDTH = 5\n"})
    with pytest.raises(FileExistsError, match=r"sizes\.py is not a file that travels with a checkpoint"):
        copy(root, root / "out", "upper/heads.py")
    assert {path.name: path.read_text() for path in (root / "out").iterdir()} == {"sizes.py": "WIDTH = 5\n"}
