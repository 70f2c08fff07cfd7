import subprocess
import sys
from pathlib import Path

from datasets_vl.readers.tsv import TsvReader

SCRIPT = Path(__file__).parents[2] / "examples" / "make_scenes.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_writes_the_splits_asked_for(tmp_path: Path):
    done = run(tmp_path / "out", "--num-train", "4", "--num-val", "2", "--num-test", "1", "--feature-dim", "8")
    assert done.returncode == 0, done.stderr
    rows = {split: list(TsvReader(tmp_path / "out" / f"scenes_{split}.tsv")) for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 4, "val": 2, "test": 1}
    assert rows["test"][0].image_id == "scene_test_000000" and rows["test"][0].feature_dim == 8
    assert "7/7" in done.stderr


def test_says_what_is_wrong(tmp_path: Path):
    done = run(tmp_path / "out", "--num-train", "0", "--num-val", "0")
    assert done.returncode == 2
    assert "num_scenes must name at least one scene" in done.stderr
