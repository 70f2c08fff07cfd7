r"""Rank images for captions and captions for images: N x M retrieval, zero-shot or fine-tuned.

    accelerate launch examples/run_retrieval.py runs/flickr8k --regions features/flickr8k \
        --captions dataset_flickr8k.json --split test --output_dir runs/flickr8k/test

The model is any saved by examples/run_pretraining.py (zero-shot: the alignment head, ViLBERT paper, section 4.1), by
examples/run_finetuning.py with `task: retrieval`, or by examples/run_multi_task.py with a task that is retrieval; of
several such tasks `--task` chooses. Written to `output_dir`: `recalls.json`, the recalls beside a
control with the images exchanged and beside chance; `rankings.jsonl`, the ten best images of each caption; and the
scores, block by block in `scores`. A stopped run goes on where it was when started again.

Several processes share the work:

    accelerate launch --config_file examples/accelerate_configs/gpu_8.yaml examples/run_retrieval.py ...

With many images, `--first_stage_split train --top_k 100` lets the model rank only the 100 images that a cheap first
stage, fitted on the training split, thinks most of.

`--pool_size 100` on the training split also writes `pool.json`, the images that the model takes most easily for each
other: hard negatives for `candidates: drawn` of the fine-tuning.

All arguments: `python examples/run_retrieval.py --help`.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from transformers.utils.logging import disable_progress_bar

from datasets_vl.command_line import tells_mistakes
from training_vl.recipes import described, parse_groups

if TYPE_CHECKING:
    from datasets_vl.tasks.caption_retrieval import RetrievalSplit
    from training_vl.retrieval_scoring import ScoreFiles


@dataclass
@described
class RetrievalArguments:
    """What is ranked, with which model.

    Args:
        model: A folder saved by a training, or a Hub id.
        regions: Folder of Parquet shards of region features.
        captions: Caption file: Karpathy or COCO json, {image id: captions}, or JSON lines.
        output_dir: Where the results go.
        task: Of a model for several tasks, the one whose head ranks. By default the only one that is retrieval.
        split: Images to take, where the caption file names splits: "test", or several as "val+test".
        caption_image_id: What names an image in COCO layouts: the stem of its "file_name", or "cocoid", its number.
        num_images: Images to rank, the first ones. All by default.
        captions_per_image: Captions of each image, its first ones. All by default.
        max_text_length: Word pieces a text keeps, special tokens included.
        pairs_per_chunk: Pairs a forward pass; more is faster and takes more memory, the scores are the same.
        first_stage_split: Split of `captions`, for example "train", on which a cheap first stage is fitted: it chooses
            the images that the model ranks for a caption. None, the default, lets the model score every pair.
        top_k: Images that the first stage chooses for a caption; the others follow behind them in its order.
        pool_size: Images a mined pool of hard negatives holds for each image. None by default.
        cache_dir: Where the memory-mapped copy of the regions is kept. By default beside the shards.
        attn_implementation: Attention backend: "sdpa", "eager", "flash_attention_2" or "flex_attention".
        use_cpu: Whether to stay on the CPU though the machine has an accelerator.
    """

    model: str | None = None
    regions: str | None = None
    captions: str | None = None
    output_dir: str | None = None
    task: str | None = None
    split: str | None = None
    caption_image_id: Literal["file_name", "cocoid"] = "file_name"
    num_images: int | None = None
    captions_per_image: int | None = None
    max_text_length: int = 36
    pairs_per_chunk: int = 2048
    first_stage_split: str | None = None
    top_k: int | None = None
    pool_size: int | None = None
    cache_dir: str | None = None
    attn_implementation: str = "sdpa"
    use_cpu: bool = False

    def __post_init__(self) -> None:
        """Refuse what is missing."""
        for name in ("model", "regions", "captions", "output_dir"):
            if getattr(self, name) is None:
                raise ValueError(f"{name} is missing: give --{name}")
        if (self.top_k is None) != (self.first_stage_split is None):
            raise ValueError("top_k and first_stage_split belong together: give both, or none")
        if self.top_k is not None and self.top_k < 1:
            raise ValueError(f"top_k must be at least 1, got {self.top_k}")
        if self.pool_size is not None and self.pool_size < 1:
            raise ValueError(f"pool_size must be at least 1, got {self.pool_size}")


def retrieve(arguments: RetrievalArguments) -> None:
    """Score, and write what came out."""
    # Imported here, so that --help and mistakes on the command line are answered at once.
    from transformers import AutoProcessor

    from datasets_vl.captions import read_captions
    from datasets_vl.local import LocalRegions
    from datasets_vl.tasks.caption_retrieval import RetrievalSplit
    from training_vl.distributed import make_accelerator
    from training_vl.first_stage import FirstStage
    from training_vl.retrieval_scoring import PairScorer, load_scoring_model, score_to_disk

    accelerator = make_accelerator(find_unused_parameters=False, use_cpu=arguments.use_cpu)
    regions = LocalRegions(arguments.regions, arguments.cache_dir)
    split = RetrievalSplit.of(
        read_captions(arguments.captions, split=arguments.split, image_id=arguments.caption_image_id),
        regions,
        num_images=arguments.num_images,
        captions_per_image=arguments.captions_per_image,
    )
    model, task = load_scoring_model(arguments.model, arguments.task, arguments.attn_implementation)
    model.to(accelerator.device)
    processor = AutoProcessor.from_pretrained(arguments.model)
    more = {}
    if arguments.first_stage_split is not None:
        captions = read_captions(
            arguments.captions, split=arguments.first_stage_split, image_id=arguments.caption_image_id
        )
        stage_split = RetrievalSplit.of(captions, regions)
        first_stage = FirstStage(model, processor, stage_split, max_text_length=arguments.max_text_length)
        more = {"first_stage": first_stage, "top_k": arguments.top_k}
    scorer = PairScorer(
        model,
        processor,
        split,
        max_text_length=arguments.max_text_length,
        pairs_per_chunk=arguments.pairs_per_chunk,
        task=task,
        **more,
    )
    folder = Path(arguments.output_dir)
    scores = score_to_disk(scorer, folder / "scores", accelerator)
    if accelerator.is_main_process:
        _report(arguments, split, scores, folder)
    accelerator.end_training()


def _report(arguments: RetrievalArguments, split: RetrievalSplit, scores: ScoreFiles, folder: Path) -> None:
    from datasets_vl.tasks.caption_retrieval import mine_pool
    from training_vl.retrieval_report import measure_recalls, print_recalls, write_rankings

    table = measure_recalls(scores, split)
    entry = {"arguments": dataclasses.asdict(arguments), "recalls": table}
    (folder / "recalls.json").write_text(json.dumps(entry, indent=2) + "\n", encoding="utf-8")
    write_rankings(folder / "rankings.jsonl", scores, split)
    if arguments.pool_size is not None:
        pool = mine_pool(scores, split.owners, split.image_ids, arguments.pool_size)
        (folder / "pool.json").write_text(json.dumps(pool) + "\n", encoding="utf-8")
    print_recalls(table, split)


def main() -> None:
    """Read the arguments and rank; errors that the arguments caused are told in one line."""
    disable_progress_bar()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    words = sys.argv[1:]
    if words and not words[0].startswith("-"):
        words = ["--model", *words]
    with tells_mistakes(
        ImportError, OSError, RuntimeError, ValueError,
        interrupted="interrupted; the same command goes on with what is not scored yet",
    ):  # fmt: skip
        retrieve(*parse_groups((RetrievalArguments,), words, description=__doc__))


if __name__ == "__main__":
    main()
