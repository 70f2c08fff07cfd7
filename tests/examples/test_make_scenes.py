import subprocess
import sys
from pathlib import Path

from datasets_vl.readers.tsv import TsvReader

SCRIPT = Path(__file__).parents[2] / "examples" / "make_scenes.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True)


def test_writes_the_splits_asked_for(tmp_path: Path):
    done = run(tmp_path / "out", "--num_train", "4", "--num-val", "2", "--num-test", "1", "--feature-dim", "8")
    assert done.returncode == 0, done.stderr
    rows = {split: list(TsvReader(tmp_path / "out" / f"scenes_{split}.tsv")) for split in ("train", "val", "test")}
    assert {split: len(found) for split, found in rows.items()} == {"train": 4, "val": 2, "test": 1}
    assert rows["test"][0].image_id == "scene_test_000000" and rows["test"][0].feature_dim == 8
    assert "7/7" in done.stderr


def test_writes_the_tasks(tmp_path: Path):
    done = run(tmp_path / "out", "--num-train", "8", "--num-val", "3", "--feature-dim", "8", "--tasks")
    assert done.returncode == 0, done.stderr
    assert "77/77" in done.stderr
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*")}
    assert written >= {
        "scenes_train.tsv",
        "dataset_scenes.json",
        "vqa/v2_scenes_train_annotations.json",
        "gqa/val_balanced_questions.json",
        "vcr/vcr1images/val/scene_val_000002.json",
        "nlvr2/scenes_nlvr2_val.tsv",
        "snli_ve/snli_ve_val.jsonl",
        "refcoco/refs(scenes).p",
        "flickr30k_entities/Annotations/scene_train_000007.xml",
    }
    assert next(iter(TsvReader(tmp_path / "out" / "nlvr2" / "scenes_nlvr2_val.tsv"))).feature_dim == 8


def test_writes_one_task_alone(tmp_path: Path):
    done = run(tmp_path / "out", "--num-train", "2", "--num-val", "0", "--feature-dim", "8", "--tasks", "gqa")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "out").iterdir() if path.is_dir()} == {"gqa"}


def test_says_what_is_wrong(tmp_path: Path):
    done = run(tmp_path / "out", "--num-train", "0", "--num-val", "0")
    assert done.returncode == 1
    assert done.stderr.startswith("ValueError: num_scenes must name at least one scene")
    done = run(tmp_path / "out", "--num_trian", "2")
    assert done.returncode == 2
    assert "there is no option --num_trian; did you mean --num-train?" in done.stderr
