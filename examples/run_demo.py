"""The whole way on built-in data: raw files, Parquet shards, pre-training, saving, reloading, measuring, a picture.

    python examples/run_demo.py --output demo_output

1. writes synthetic scenes as a bottom-up-attention TSV file and a Karpathy caption file,
2. converts the features to Parquet shards,
3. pre-trains a small ViLBERT and a small VisualBERT with examples/run_pretraining.py, side by side,
4. reloads them with `AutoModelForPreTraining` and `AutoProcessor` and measures them on scenes they have not seen,
5. draws which regions the words of a caption look at.

Every step is a command that works on real data as well; each is printed before it runs. A second start goes on where
the first was stopped: the scenes are drawn again, and where they are the same as before, a step whose result is newer
than what it is made from is left out. `--output` then holds `results.md`, `results.json` and `attention.png`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from datasets_vl.command_line import CommandLine, tells_mistakes

if TYPE_CHECKING:
    from datasets_vl.local import LocalRegions
    from datasets_vl.scene_captions import SceneCaption
    from datasets_vl.scenes import Scene
    from training_vl.zero_shot import Table

EXAMPLES = Path(__file__).resolve().parent
MODELS = {"ViLBERT": "vilbert", "VisualBERT": "visualbert"}
WANTED_RECALL = 0.3
PICTURE_WORDS = 3


def command(script: str, *arguments: object) -> list[str]:
    """A command line of one of the example scripts, printed as a user would type it.

    Args:
        script: File name in examples/.
        *arguments: Its command line.

    Returns:
        The script's path and its command line.
    """
    words = list(map(str, arguments))
    print(f"\n$ {shlex.join(['python', f'examples/{script}', *words])}", flush=True)
    return [str(EXAMPLES / script), *words]


def run(script: str, *arguments: object) -> None:
    """Run one of the example scripts to its end.

    Args:
        script: File name in examples/.
        *arguments: Its command line.
    """
    finished = subprocess.run([sys.executable, *command(script, *arguments)], check=False)
    if finished.returncode:
        sys.exit(f"the demo stopped: {script} ended with exit code {finished.returncode}")


def is_done(result: Path, *made_from: Path) -> bool:
    """Whether `result` is there and newer than all it is `made_from`; if so, this is said."""
    from training_vl.side_by_side import is_newer

    done = is_newer(result, *made_from)
    if done:
        print(f"{result} is done already", flush=True)
    return done


def shards(folder: Path, split: str) -> Path:
    """Where the region features of a `split` go, below `folder`."""
    return folder / "regions" / split


def prepare(folder: Path, num_train: int, num_val: int, seed: int) -> None:
    """Write the scenes in raw formats, convert them, and make a tokenizer of their words.

    Args:
        folder: Where everything goes.
        num_train: Scenes to train on.
        num_val: Scenes to measure on.
        seed: Of the scenes.
    """
    from training_vl.word_tokenizer import save_word_tokenizer

    raw = folder / "raw"
    run("make_scenes.py", raw, "--num-train", num_train, "--num-val", num_val, "--seed", seed)
    for split in ("train", "val"):
        source = raw / f"scenes_{split}.tsv"
        if not is_done(shards(folder, split) / "manifest.json", source):
            run("convert_region_features.py", source, shards(folder, split), "--format", "tsv", "--detector", "scenes")
    save_word_tokenizer(raw / "dataset_scenes.json", folder / "tokenizer")


def pretrain(folder: Path) -> None:
    """Pre-train both models side by side, one thread each, as small models gain little from a second one.

    Args:
        folder: Where the scenes are and the models go.
    """
    from training_vl.side_by_side import Job, run_side_by_side

    captions = folder / "raw" / "dataset_scenes.json"
    manifests = [shards(folder, split) / "manifest.json" for split in ("train", "val")]
    jobs = []
    for title, name in MODELS.items():
        recipe = EXAMPLES / "recipes" / f"demo_{name}.yaml"
        result, sources = model_file(folder, name), (recipe, captions, *manifests)
        if is_done(result, *sources):
            continue
        words = command(
            "run_pretraining.py", recipe, "--regions", shards(folder, "train"),
            "--val_regions", shards(folder, "val"), "--captions", captions,
            "--tokenizer", folder / "tokenizer", "--output_dir", folder / name,
            "--resume_from_checkpoint", "latest", "--use_cpu",
        )  # fmt: skip
        steps = yaml.safe_load(recipe.read_text(encoding="utf-8"))["max_steps"]
        job = Job(
            title=title,
            commands=[words],
            output_dir=folder / name,
            steps=steps,
            result=result,
            made_from=sources,
        )
        jobs.append(job)
    run_side_by_side(jobs, "pre-training")


def model_file(folder: Path, name: str) -> Path:
    """The file that a run writes last: `name` is one of the values of `MODELS`, below `folder`."""
    return folder / name / "processor_config.json"


def measure(folder: Path, name: str) -> Table:
    """Measure one model on the held-out scenes.

    Args:
        folder: Where scenes and models are.
        name: One of the values of `MODELS`.

    Returns:
        The scores.
    """
    scores = folder / f"{name}.json"
    if not is_done(scores, model_file(folder, name)):
        run(
            "evaluate_pretraining.py", folder / name, shards(folder, "val"),
            folder / "raw" / "dataset_scenes.json", "--split", "val", "--pairs_per_chunk", 500, "--output", scores,
        )  # fmt: skip
    return json.loads(scores.read_text(encoding="utf-8"))


def table_lines(tables: dict[str, Table]) -> list[str]:
    """The results as a Markdown table: each model, its control whose images are exchanged, the drop, and chance."""
    head = ["measure on held-out scenes"]
    for name in tables:
        head += [name, "images exchanged", "drop"]
    lines = ["| " + " | ".join([*head, "chance"]) + " |", "|---" + "|---:" * len(head) + "|"]
    for measure in max(tables.values(), key=len):
        cells = [measure]
        for table in tables.values():
            row = table.get(measure)
            cells += ["–"] * 3 if row is None else [
                f"{row['model']:.1%}", f"{row['exchanged']:.1%}", f"{100 * (row['model'] - row['exchanged']):.1f}"
            ]  # fmt: skip
        chance = next(table[measure]["chance"] for table in tables.values() if measure in table)
        lines.append("| " + " | ".join([*cells, f"{chance:.1%}"]) + " |")
    return lines


def choose_caption(regions: LocalRegions, seed: int) -> tuple[Scene, SceneCaption]:
    """The first held-out caption that names `PICTURE_WORDS` objects or more.

    Args:
        regions: The held-out images.
        seed: Of the scenes.

    Returns:
        The scene and the caption.
    """
    from datasets_vl.scene_captions import describe
    from datasets_vl.scenes import make_scene

    for index in range(len(regions)):
        scene = make_scene(index, split="val", seed=seed)
        for caption in describe(scene):
            if len(caption.phrases) >= PICTURE_WORDS:
                return scene, caption
    raise ValueError(f"no held-out caption names {PICTURE_WORDS} objects: take more scenes")


def draw(folder: Path, seed: int) -> Path:
    """Draw what the nouns of a held-out caption look at, for both models.

    Args:
        folder: Where scenes and models are.
        seed: Of the scenes.

    Returns:
        The picture's path.
    """
    from transformers import AutoModelForPreTraining, AutoProcessor

    import modeling_vl  # noqa: F401  registers the Auto classes
    from datasets_vl.local import LocalRegions
    from datasets_vl.scene_rendering import render
    from training_vl.attention_picture import attention_of_words, draw_attention

    path = folder / "attention.png"
    if is_done(path, *(model_file(folder, name) for name in MODELS.values())):
        return path
    regions = LocalRegions(shards(folder, "val"))
    scene, caption = choose_caption(regions, seed)
    image = regions[regions.index_of(scene.image_id)]
    nouns = [caption.text[phrase.start : phrase.end].split()[-1] for phrase in caption.phrases[:PICTURE_WORDS]]
    shares = {}
    for title, name in MODELS.items():
        model = AutoModelForPreTraining.from_pretrained(folder / name).eval()
        processor = AutoProcessor.from_pretrained(folder / name)
        pieces, weights = attention_of_words(model, processor, caption.text, image)
        places, start = [], 0
        for noun in nouns:
            start = pieces.index(noun, start) + 1
            places.append(start - 1)
        shares[title] = weights[places]
    draw_attention(path, render(scene), image.boxes, caption.text, nouns, shares)
    return path


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    parser.add_argument("--output", type=Path, default=Path("demo_output"))
    parser.add_argument("--num_train", type=int, default=2000, help="scenes to train on")
    parser.add_argument("--num_val", type=int, default=100, help="scenes to measure on")
    parser.add_argument("--seed", type=int, default=0, help="of the scenes")
    return parser.parse_args()


def demonstrate(arguments: argparse.Namespace) -> None:
    """Go the whole way with the `arguments` of the command line, and print the table."""
    started = time.monotonic()
    prepare(arguments.output, arguments.num_train, arguments.num_val, arguments.seed)
    pretrain(arguments.output)
    tables = {title: measure(arguments.output, name) for title, name in MODELS.items()}
    lines = table_lines(tables)
    picture = draw(arguments.output, arguments.seed)
    (arguments.output / "results.json").write_text(json.dumps(tables, indent=2) + "\n", encoding="utf-8")
    (arguments.output / "results.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n" + "\n".join(lines))
    print(f"\n{(time.monotonic() - started) / 60:.1f} minutes; the picture of what words look at: {picture}")
    recalls = {title: table["caption to image R@1"]["model"] for title, table in tables.items()}
    weak = [f"{title} {recall:.1%}" for title, recall in recalls.items() if recall < WANTED_RECALL]
    if weak:
        sys.exit(f"zero-shot R@1 should reach {WANTED_RECALL:.0%}, but is: {', '.join(weak)}")


def main() -> None:
    """Read the command line and run the demo."""
    # Functions import torch themselves, so that --help and mistakes on the command line are answered at once.
    with tells_mistakes(
        RuntimeError, ValueError, interrupted="interrupted; start again with the same arguments to go on"
    ):
        demonstrate(parse_arguments())


if __name__ == "__main__":
    main()
