from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from datasets_vl.readers import READERS, open_reader
from tests.datasets_vl.readers.raw_formats import raw_image, write_h5, write_lmdb, write_tsv


def test_every_format_has_its_reader(tmp_path: Path) -> None:
    assert {name: reader.__name__ for name, reader in READERS.items()} == {
        "tsv": "TsvReader",
        "npz": "NpzReader",
        "npy": "NpyReader",
        "lmdb": "LmdbReader",
        "h5": "H5Reader",
        "uniter": "UniterReader",
    }
    path = write_tsv(tmp_path / "a.tsv", [raw_image(0)])
    reader = open_reader(path, "tsv", on_error="skip", feature_dim=8, image_sizes=None)
    assert (type(reader), reader.on_error, reader.feature_dim) == (READERS["tsv"], "skip", 8)


@pytest.mark.parametrize(
    ("format", "options", "reason"),
    [
        ("csv", {}, "unknown format 'csv', expected one of tsv, npz, npy, lmdb, h5, uniter"),
        ("npz", {"fields": ["x"]}, "the format 'npz' has no option fields"),
        ("tsv", {"image_sizes": "sizes.csv"}, "the format 'tsv' has no option image_sizes"),
        ("uniter", {}, "the format 'uniter' needs the option image_sizes \\(--image-sizes\\)"),
        ("tsv", {"on_error": "ignore"}, "on_error is 'ignore', expected 'raise' or 'skip'"),
        ("tsv", {}, "is a folder, expected a TSV file"),
    ],
)
def test_wrong_arguments_are_explained(tmp_path: Path, format: str, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        open_reader(tmp_path, format, **options)


@pytest.mark.parametrize("format", list(READERS))
def test_a_missing_source_is_named(tmp_path: Path, format: str) -> None:
    options = {"image_sizes": "sizes.csv"} if format == "uniter" else {}
    with pytest.raises(FileNotFoundError, match="nowhere does not exist"):
        open_reader(tmp_path / "nowhere", format, **options)


@pytest.mark.parametrize(("format", "module"), [("h5", "h5py"), ("lmdb", "lmdb")])
def test_a_missing_extra_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format: str, module: str
) -> None:
    pytest.importorskip(module, reason="needs the extra `formats` to write the file")
    path = write_h5(tmp_path / "a", [raw_image(0)]) if format == "h5" else write_lmdb(tmp_path / "a", {"0": {}})
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf'needs {module}: pip install "modeling-vl\[formats\]"'):
        list(open_reader(path, format))


def test_the_extras_are_imported_only_where_they_are_needed() -> None:
    code = "import sys, datasets_vl.readers; print(sorted({'h5py', 'lmdb'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
