"""Writes the built-in data set of synthetic scenes in the file formats of real data.

    python examples/make_scenes.py OUT --num-train 2000 --num-val 100 --seed 0

OUT then holds `scenes_train.tsv` and `scenes_val.tsv` (region features, LXMERT's fields and `cls_prob`) and
`dataset_scenes.json` (five captions an image, Karpathy's layout).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from datasets_vl.scene_files import write_scenes


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to write into")
    parser.add_argument("--num-train", type=int, default=2000, help="scenes of the split train (default: %(default)s)")
    parser.add_argument("--num-val", type=int, default=100, help="scenes of the split val (default: %(default)s)")
    parser.add_argument("--num-test", type=int, default=0, help="scenes of the split test (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the data set (default: %(default)s)")
    parser.add_argument("--feature-dim", type=int, default=128, help="numbers a region (default: %(default)s)")
    options = parser.parse_args(arguments)
    num_scenes = {"train": options.num_train, "val": options.num_val, "test": options.num_test}
    try:
        write_scenes(options.out, num_scenes, seed=options.seed, feature_dim=options.feature_dim)
    except ValueError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
