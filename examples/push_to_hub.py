r"""Push a model, a data set of region features, a metric or a demo Space to the Hub, with a card that says what it is.

    python examples/push_to_hub.py model runs/vilbert-vqa user/vilbert-vqa --facts card.yaml \
        --scores scores.json="VQA v2, minival"
    python examples/push_to_hub.py dataset features/coco user/coco-regions --facts card.yaml --private
    python examples/push_to_hub.py metric metrics_vl/vqa_accuracy user/vqa_accuracy --facts card.yaml
    python examples/push_to_hub.py space features/coco/val user/vilbert-demo --model user/vilbert-vqa --facts card.yaml

The card is written from what is known: config, weights, the run or the conversion that made the model, manifests,
files of scores. What no file says is given as options or, by the same names, in a YAML file (`--facts`; options win).
A card with a field that nothing fills is refused, with the list of what is missing, and nothing is pushed. `--dry_run`
prints the card and the names of the files, and pushes nothing. The folder itself is not changed.

`python examples/push_to_hub.py model --help` lists what the card of a model asks for.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datasets_vl.command_line import CommandLine, tells_mistakes
from hub_cards.asked import DATASET, METRIC, MODEL, SPACE

if TYPE_CHECKING:
    from hub_cards.parcels import Parcel

KINDS = {
    "model": (MODEL, "folder of a model and its processor"),
    "dataset": (DATASET, "folder of Parquet shards of region features, or of splits that are such folders"),
    "metric": (METRIC, "folder of a metric, such as metrics_vl/vqa_accuracy"),
    "space": (SPACE, "folder of Parquet shards with the example images of the demo"),
}


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = CommandLine(__doc__)
    commands = parser.add_subparsers(dest="kind", required=True, metavar="KIND")
    for kind, (fields, folder) in KINDS.items():
        command = commands.add_parser(kind, help=f"FOLDER: {folder}", description=f"Push a {kind}, with its card.")
        command.add_argument("folder", type=Path, help=folder)
        command.add_argument("name", help="where it goes: user/name")
        command.add_argument("--private", action="store_true", help="a repository made for this push is private")
        command.add_argument("--message", help="of the commit")
        command.add_argument("--revision", help="branch to push to, made when missing (default: main)")
        command.add_argument("--dry_run", action="store_true", help="print the card and push nothing")
        command.add_argument("--facts", type=Path, help="YAML file with what the card says, by the names below")
        if kind == "space":
            command.add_argument("--images", nargs="+", default=[], help="ids of the images (default: the first 8)")
            command.add_argument("--photos", type=Path, help="folder of photos named as the images")
        asked = command.add_argument_group("what the card says, where no file does")
        for field in fields:
            asked.add_argument(
                f"--{field.name}", nargs="+" if field.several else None, help=field.what.replace("%", "%%")
            )
    return parser.parse_args()


def facts(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the file of facts and the options of the `arguments` say, by name of the field."""
    from hub_cards.fields import read_facts

    fields, _ = KINDS[arguments.kind]
    of_file = read_facts(arguments.facts, fields) if arguments.facts else {}
    typed = {field.name: getattr(arguments, field.name) for field in fields}
    return {**of_file, **{name: value for name, value in typed.items() if value is not None}}


def pack(arguments: argparse.Namespace, scratch: Path) -> Parcel:
    """What the `arguments` ask to push; files that are made for it go into `scratch`."""
    from hub_cards import parcels

    given, place = facts(arguments), (arguments.folder, arguments.name)
    if arguments.kind == "model":
        return parcels.model_parcel(*place, given, scratch)
    if arguments.kind == "dataset":
        return parcels.dataset_parcel(*place, given)
    if arguments.kind == "metric":
        return parcels.metric_parcel(*place, given, scratch)
    return parcels.space_parcel(*place, given, scratch, image_ids=arguments.images, photos=arguments.photos)


def push(arguments: argparse.Namespace) -> None:
    """Write the card, check it, and push; or print it."""
    if not arguments.folder.is_dir():
        raise FileNotFoundError(f"there is no folder {arguments.folder}")
    if arguments.name.count("/") != 1:
        raise ValueError(f"give the name as user/name, got {arguments.name!r}")
    with tempfile.TemporaryDirectory() as made, tempfile.TemporaryDirectory() as scratch:
        parcel = pack(arguments, Path(made))
        if arguments.dry_run:
            print(f"{parcel.card}\nfiles besides: {', '.join(sorted(parcel.files))}; nothing was pushed")
            return
        options = {"private": arguments.private or None, "message": arguments.message, "branch": arguments.revision}
        address = parcel.push(arguments.name, Path(scratch), **options)
    print(f"pushed: {address}")


def main() -> None:
    """Push; mistakes are told in one message."""
    # The functions import torch themselves, so that --help and mistakes on the command line are answered at once.
    from datasets_vl.hub_push import PushError

    with tells_mistakes(
        OSError, ValueError, PushError, interrupted="interrupted; the repository is as it was, or has all of this push"
    ):
        push(parse_arguments())


if __name__ == "__main__":
    main()
