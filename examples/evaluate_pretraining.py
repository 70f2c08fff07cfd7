r"""Measure a pre-trained ViLBERT or VisualBERT: masked tokens, masked regions, alignment, zero-shot retrieval.

    python examples/evaluate_pretraining.py runs/vilbert features/flickr8k dataset_flickr8k.json --split val

Beside the model's scores stand those of a control whose images are exchanged, and chance. A score that does not fall
in the control comes from the text alone. `--output scores.json` keeps the table.

Retrieval scores every caption against every image; limit it where that is too much:

    python examples/evaluate_pretraining.py runs/vilbert features/coco dataset_coco.json --split val \
        --num_images 1000 --captions_per_image 1 --pairs_per_chunk 1024
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from datasets_vl.command_line import CommandLine, tells_mistakes

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from processing_vl import RegionTextProcessor
    from training_vl.zero_shot import Table


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    from datasets_vl.pretraining import PreTrainingForm

    parser = CommandLine(__doc__)
    parser.add_argument("model", help="folder or Hub id of a model and its processor")
    parser.add_argument("regions", help="folder of Parquet shards")
    parser.add_argument("captions", help="caption file")
    parser.add_argument("--split", help="images to measure on, where the caption file names splits")
    parser.add_argument("--caption_image_id", choices=["file_name", "cocoid"], default="file_name")
    parser.add_argument("--caption_form", choices=get_args(PreTrainingForm), default="caption", help="as in training")
    parser.add_argument("--objective", type=int, choices=[0, 1, 2], default=0, help="as in training")
    parser.add_argument("--max_text_length", type=int, default=36)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--num_images", type=int, help="images to retrieve among (default: all)")
    parser.add_argument("--captions_per_image", type=int, help="captions of each image (default: all)")
    parser.add_argument("--pairs_per_chunk", type=int, default=256, help="pairs a forward pass of retrieval")
    parser.add_argument("--seed", type=int, default=0, help="of masks, false captions and the control")
    parser.add_argument("--device", help='such as "cpu" or "cuda" (default: a GPU where there is one)')
    parser.add_argument("--output", type=Path, help="JSON file for the table")
    return parser.parse_args()


def choose_device(name: str | None) -> str:
    """The device called `name`, or the best one; a `ValueError` says why it cannot be used."""
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (AssertionError, RuntimeError) as error:  # AssertionError: torch was built without this kind of device
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ValueError(
            f"--device {name} cannot be used by this torch ({torch.__version__}): {reason}. Leave --device out to take"
            " what there is"
        ) from None
    return name


def load(name: str) -> tuple[PreTrainedModel, RegionTextProcessor]:
    """Load a model and its processor.

    Args:
        name: A folder or Hub id.

    Returns:
        Both.

    Raises:
        FileNotFoundError: There is no such folder, or no model in it, and none on the Hub can be reached.
    """
    from transformers import AutoModelForPreTraining, AutoProcessor

    import modeling_vl  # noqa: F401  registers the Auto classes

    folder = Path(name)
    if folder.is_dir() and not (folder / "config.json").is_file():
        raise FileNotFoundError(f"{folder} holds no model: it has no config.json. Did its training come to an end?")
    try:
        return AutoModelForPreTraining.from_pretrained(name), AutoProcessor.from_pretrained(name)
    except OSError as error:
        if folder.is_dir():
            raise
        reason = str(error).partition("\n")[0]
        raise FileNotFoundError(f"there is no folder {name}, and the Hub gives no such model: {reason}") from error


def measure(arguments: argparse.Namespace) -> Table:
    """All scores of the model that the `arguments` name."""
    from datasets_vl.captions import read_captions
    from datasets_vl.local import LocalRegions
    from datasets_vl.pretraining import PreTrainingTask
    from processing_vl.collators import PreTrainingCollator
    from training_vl.zero_shot import measure_objectives, measure_retrieval

    device = choose_device(arguments.device)
    model, processor = load(arguments.model)
    model.to(device).eval()
    captions = read_captions(arguments.captions, split=arguments.split, image_id=arguments.caption_image_id)
    regions = LocalRegions(arguments.regions)
    collator = PreTrainingCollator(
        processor,
        region_targets=tuple(model.config.region_targets),
        objective=arguments.objective,
        max_text_length=arguments.max_text_length,
    )
    task = PreTrainingTask(captions, form=arguments.caption_form, seed=arguments.seed)
    objectives = measure_objectives(
        model, collator, regions, task, batch_size=arguments.batch_size, seed=arguments.seed
    )
    retrieval = measure_retrieval(
        model,
        processor,
        regions,
        captions,
        num_images=arguments.num_images,
        captions_per_image=arguments.captions_per_image,
        max_text_length=arguments.max_text_length,
        pairs_per_chunk=arguments.pairs_per_chunk,
        seed=arguments.seed,
        progress=True,
    )
    return {**objectives, **retrieval}


def print_table(table: Table) -> None:
    """Print the `table`, a line a score."""
    print(f"{'':28}{'model':>10}{'exchanged':>12}{'chance':>10}")
    for name, row in table.items():
        print(f"{name:28}{row['model']:10.1%}{row['exchanged']:12.1%}{row['chance']:10.1%}")


def main() -> None:
    """Measure, print the table and keep it."""
    # The functions import torch themselves, so that --help and mistakes on the command line are answered at once.
    with tells_mistakes(OSError, ValueError, interrupted="interrupted; nothing was written"):
        arguments = parse_arguments()
        table = measure(arguments)
        print_table(table)
        if arguments.output:
            arguments.output.write_text(json.dumps(table, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
