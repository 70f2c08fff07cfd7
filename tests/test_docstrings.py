"""Public names are documented, and what is documented is true; every function is annotated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.docstring_checks import docstring_faults
from tests.import_checks import ROOMS, source_files

ROOT = Path(__file__).resolve().parents[1]

BAD_SAMPLE = '''\
"""A module with one function for each rule."""


def undescribed_arguments(boxes: list[int], width: int) -> None:
    """Clip boxes."""


def half_described(boxes: list[int], width: int, *rest: int, **options: int) -> None:
    """Clip boxes.

    Args:
        boxes: float32 [R, 4]. A wrapped line:
            width: this is not an entry.
        options: Passed on.
    """


def outdated(boxes: list[int]) -> int:
    """Clip boxes.

    Args:
        boxes: float32 [R, 4].
        height: A parameter of an older version.
    """


def silent_about_result(boxes: list[int], width: int) -> int:
    """Clip boxes.

    Args:
        boxes, width (pixels): What is clipped and to where.

    Raises:
        ValueError: Never.
    """


def invented_result(boxes: list[int]) -> None:
    """Clip boxes.

    Returns:
        Nothing, really.
    """


class Clipper:
    """Clips boxes."""

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)

    def clip(self, boxes: list[int], policy: str) -> list[int]:
        """Clip boxes.

        Args:
            self: The clipper.
            boxes: float32 [R, 4].
        """


@dataclass
class Options:
    """Options.

    Args:
        width: In pixels.
        depth: A field of an older version.
    """

    kind: ClassVar[str] = "x"
    width: int
    height: int = 1


def short_form_with_a_gap(boxes: list[int], width: int) -> bool:
    """Whether `boxes` are narrow."""
'''

BAD_SAMPLE_FAULTS = [
    "bad.py:4: undescribed_arguments: no `Args:` section for boxes, width",
    "bad.py:8: half_described: `Args:` leaves out width",
    "bad.py:18: outdated: `Args:` describes height, which is no parameter",
    "bad.py:27: silent_about_result: no `Returns:` or `Yields:` section for int",
    "bad.py:38: invented_result: `Returns:` but there is no result",
    "bad.py:49: Clipper.__init__: no `Args:` section for width, height",
    "bad.py:52: Clipper.clip: no `Returns:` or `Yields:` section for list[int]",
    "bad.py:52: Clipper.clip: `Args:` leaves out policy",
    "bad.py:52: Clipper.clip: `Args:` describes self, which is no parameter",
    "bad.py:62: Options: `Args:` leaves out height",
    "bad.py:62: Options: `Args:` describes depth, which is no field",
    "bad.py:75: short_form_with_a_gap: no `Args:` section for boxes, width",
    "bad.py:75: short_form_with_a_gap: no `Returns:` or `Yields:` section for bool",
]

GOOD_SAMPLE = '''\
"""Everything the rules allow."""


def _private(boxes: list[int], width: int) -> int:
    """Private functions may be brief."""


def one_parameter(boxes: list[int]) -> int:
    """Count boxes."""


def first_sentence_tells(boxes: list[int], width: int, **options: int) -> int:
    """Returns the number of boxes.

    Args:
        boxes: float32 [R, 4].
        width: In pixels.
    """


def shared_entry(boxes: list[int], *, width: int, height: int, **options: int) -> int:
    """Clip boxes.

    Args:
        boxes: float32 [R, 4].
        width, height: Size of the image
            (pixels).
        **options: Passed on.

    Yields:
        Clipped boxes.
    """


class Clipper:
    """Clips boxes.

    Args:
        width: In pixels.
        height: In pixels.

    Attributes:
        size: Both.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)

    @override
    def __call__(self, boxes: list[int], policy: str) -> list[int]:
        """Clip boxes as the base does."""

    def clip(self, boxes: list[int], policy: str) -> list[int]:
        """Clip `boxes` by the rule that `policy` names."""


class StrictClipper(Clipper):
    """Clips boxes and complains.

    Args:
        width: Inherited.
    """

    def clip(self, boxes: list[int], policy: str) -> list[int]:
        """Clip and complain."""
'''

UNDOCUMENTED_SAMPLE = """\
class Clipper:
    def clip(self, boxes):
        return boxes


def _count(boxes) -> int:
    return len(boxes)
"""


def ruff_findings(*paths: Path) -> list[str]:
    """What ruff finds under the project's settings about missing docstrings (D1) and annotations (ANN).

    Args:
        *paths: Files and folders to look at.

    Returns:
        Lines `file:line: rule: message`.
    """
    command = [sys.executable, "-m", "ruff", "check", "--no-cache", "--output-format", "json"]
    settings = ["--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run([*command, *settings, *map(str, paths)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return [
        f"{row['filename']}:{row['location']['row']}: {row['code']}: {row['message']}"
        for row in json.loads(done.stdout)
        if row["code"].startswith(("ANN", "D1"))
    ]


def faults_in(source: str, folder: Path) -> list[str]:
    """Docstring faults of a file `bad.py` with this source."""
    path = folder / "bad.py"
    path.write_text(source)
    return docstring_faults(path, folder)


def test_public_names_are_documented_and_functions_annotated() -> None:
    findings = ruff_findings(*(ROOT / room for room in ROOMS if (ROOT / room).is_dir()))
    assert not findings, "\n".join(findings)


def test_missing_docstrings_and_annotations_are_found_out(tmp_path: Path) -> None:
    path = tmp_path / "bad.py"
    path.write_text(UNDOCUMENTED_SAMPLE)
    findings = ruff_findings(tmp_path)
    assert sorted(finding.removeprefix(str(path))[:10].rstrip(": ") for finding in findings) == [
        ":1: D100",
        ":1: D101",
        ":2: ANN001",
        ":2: ANN201",
        ":2: D102",
        ":6: ANN001",
    ]


def test_docstrings_agree_with_the_code() -> None:
    paths = source_files(ROOT, *ROOMS)
    assert paths
    faults = [fault for path in paths for fault in docstring_faults(path, ROOT)]
    assert not faults, "\n".join(faults)


def test_docstrings_that_disagree_are_found_out(tmp_path: Path) -> None:
    assert faults_in(BAD_SAMPLE, tmp_path) == BAD_SAMPLE_FAULTS


def test_good_docstrings_pass(tmp_path: Path) -> None:
    assert faults_in(GOOD_SAMPLE, tmp_path) == []
