r"""Convert raw region features to Parquet shards with a manifest.

    --format  files of                                     class probabilities    object ids
    tsv       bottom-up attention, ViLBERT, LXMERT, VOLTA  field cls_prob         field objects_id
    npz       bottom-up-attention.pytorch                  no                     yes
    npy       vilbert-multi-task                           yes                    yes
    lmdb      ViLBERT, vilbert-multi-task, VOLTA           as in the rows it was made of
    h5        VOLTA                                        no                     yes
    uniter    UNITER                                       yes                    no

docs/formats.md has all fields. Class probabilities are what ViLBERT's masked regions are learnt from by default.

TSV files, with names for what they hold, in four processes:

    python examples/convert_region_features.py train2014_obj36.tsv coco_train --format tsv \
        --detector "bottom-up attention" --box-policy "36 fixed" --num-proc 4

NPZ files in which row 0 is the whole image; bad ones are left out and listed:

    python examples/convert_region_features.py features flickr8k --format npz --global-region --on-error skip

LMDB and HDF5 need the packages of `pip install "modeling-vl[formats]"`:

    python examples/convert_region_features.py coco_trainval.lmdb out --format lmdb
    python examples/convert_region_features.py train_boxes36.h5 out --format h5

UNITER's boxes need a table of image sizes (CSV `image_id,width,height`, or JSON):

    python examples/convert_region_features.py npz_folder out --format uniter --image-sizes sizes.csv

Features for VisualBERT's Flickr30k checkpoints (2048 numbers and six of the box):

    python examples/convert_region_features.py flickr30k.tsv out --format tsv --append-box-numbers

An interrupted run goes on when it is started again with the same arguments.
"""

from __future__ import annotations

import argparse

from datasets_vl.command_line import CommandLine, tells_mistakes


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from datasets_vl.readers import READERS

    parser = CommandLine(__doc__)
    parser.add_argument("source", help="raw file or folder")
    parser.add_argument("folder", help="where the shards and the manifest go")
    parser.add_argument("--format", required=True, choices=list(READERS))
    parser.add_argument("--shard-size", type=int, default=1000, help="images a shard (default: 1000)")
    parser.add_argument("--num-proc", type=int, default=1, help="processes that convert (default: 1)")
    parser.add_argument(
        "--on-error",
        choices=["raise", "skip"],
        default="raise",
        help="stop at a bad row, or leave it out and list it in the manifest (default: raise)",
    )
    parser.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="of the stored features")
    parser.add_argument("--feature-dim", type=int, help="numbers a region must have (default: as in the first row)")
    parser.add_argument(
        "--num-classes",
        type=int,
        help="classes of the class probabilities (default: as in the first row); 0 leaves class probabilities out",
    )
    parser.add_argument("--append-box-numbers", action="store_true", help="x1 y1 x2 y2 w h as shares of the image")
    parser.add_argument("--global-region", action="store_true", help="row 0 of every image is the whole image")
    parser.add_argument("--detector", help="where the features come from; kept in the metadata")
    parser.add_argument("--box-policy", help="how regions were chosen; kept in the metadata")
    parser.add_argument("--fields", help="names of a TSV file's fields, separated by commas (default: detected)")
    parser.add_argument("--image-sizes", help="table of image sizes, for uniter")
    return parser.parse_args()


def convert_source(arguments: argparse.Namespace) -> None:
    """Convert what the `arguments` name, then say what was written and what was left out."""
    from datasets_vl.convert import Conversion, convert
    from datasets_vl.manifest import MANIFEST_NAME

    conversion = Conversion(
        source=arguments.source,
        format=arguments.format,
        shard_size=arguments.shard_size,
        on_error=arguments.on_error,
        feature_dtype=arguments.dtype,
        feature_dim=arguments.feature_dim,
        num_classes=arguments.num_classes,
        append_box_numbers=arguments.append_box_numbers,
        has_global_region=arguments.global_region,
        detector=arguments.detector,
        box_policy=arguments.box_policy,
        fields=tuple(arguments.fields.split(",")) if arguments.fields else None,
        image_sizes=arguments.image_sizes,
    )
    manifest = convert(conversion, arguments.folder, num_proc=arguments.num_proc)
    metadata = manifest.metadata
    print(
        f"{manifest.num_rows} images with {metadata.feature_dim} numbers a region in {len(manifest.shards)} shards,"
        f" {len(manifest.skipped)} rows left out; see {arguments.folder}/{MANIFEST_NAME}"
    )
    for row in manifest.skipped[:10]:
        print(f"  left out: {row}")


def main() -> None:
    """Read the command line and convert."""
    # The functions import what they need themselves: Ctrl-C is then told in one line from the first moment on.
    with tells_mistakes(
        ImportError, OSError, RuntimeError, ValueError,
        interrupted="interrupted; start again with the same arguments to go on",
    ):  # fmt: skip
        convert_source(parse_arguments())


if __name__ == "__main__":
    main()
