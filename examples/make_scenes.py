"""Writes the built-in data set of synthetic scenes in the file formats of real data.

    python examples/make_scenes.py OUT --num-train 2000 --num-val 100 --seed 0

OUT then holds `scenes_train.tsv` and `scenes_val.tsv` (region features, LXMERT's fields and `cls_prob`) and
`dataset_scenes.json` (five captions an image, Karpathy's layout). With `--tasks` it also holds questions, statements
and expressions about the scenes, each in a folder with the files of the official benchmark:

    vqa/v2_OpenEnded_scenes_<split>_questions.json, v2_scenes_<split>_annotations.json (image ids: "cocoid")
    gqa/<split>_balanced_questions.json
    vcr/<split>.jsonl, vcr1images/ (image ids: "file_name")
    nlvr2/<split>.json, scenes_nlvr2_<split>.tsv (region features of pairs of pictures of its own)
    snli_ve/snli_ve_<split>.jsonl
    refcoco/refs(scenes).p, instances.json
    flickr30k_entities/Sentences/, Annotations/, <split>.txt
"""

from __future__ import annotations

import argparse
from pathlib import Path

from datasets_vl.command_line import CommandLine, tells_mistakes


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from datasets_vl.scene_tasks import TASKS

    parser = CommandLine(__doc__)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write into")
    parser.add_argument("--num-train", type=int, default=2000, help="scenes of the split train (default: %(default)s)")
    parser.add_argument("--num-val", type=int, default=100, help="scenes of the split val (default: %(default)s)")
    parser.add_argument("--num-test", type=int, default=0, help="scenes of the split test (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (default: %(default)s)")
    parser.add_argument("--feature-dim", type=int, default=128, help="numbers a region (default: %(default)s)")
    parser.add_argument(
        "--tasks", nargs="*", choices=TASKS, metavar="TASK", help=f"also write {', '.join(TASKS)}, or only those named"
    )
    return parser.parse_args()


def write(arguments: argparse.Namespace) -> None:
    """Write what the `arguments` name."""
    from datasets_vl.scene_files import write_scenes
    from datasets_vl.scene_tasks import TASKS, write_scene_tasks

    num_scenes = {"train": arguments.num_train, "val": arguments.num_val, "test": arguments.num_test}
    common = {"seed": arguments.seed, "feature_dim": arguments.feature_dim}
    write_scenes(arguments.out, num_scenes, **common)
    if arguments.tasks is not None:
        write_scene_tasks(arguments.out, num_scenes, tasks=arguments.tasks or TASKS, **common)


def main() -> None:
    """Read the command line and write."""
    with tells_mistakes(OSError, ValueError, interrupted="interrupted; start again with the same arguments"):
        write(parse_arguments())


if __name__ == "__main__":
    main()
