"""The N x M scores of a split: over several processes, in memory or block by block on the disk, where it goes on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from tqdm.auto import tqdm
from transformers import AutoConfig, PreTrainedModel

from datasets_vl.tasks.caption_retrieval import RetrievalSplit
from modeling_vl import AutoModelForImageTextRetrieval, AutoModelForMultiTask
from modeling_vl.retrieval import score_listed_pairs, score_pairs
from processing_vl.processing_regions import RegionTextProcessor

from .first_stage import FirstStage

TEXTS_A_BLOCK = 64
IMAGES_AT_ONCE = 1024
DESCRIPTION = "scores.json"
UNRANKED = -1000.0
"""Added to what the first stage says of pairs that the model did not score: below any log-odds."""


def load_scoring_model(
    source: str, task: str | None = None, attn_implementation: str = "sdpa"
) -> tuple[PreTrainedModel, str | None]:
    """A saved model that scores pairs.

    Args:
        source: Its folder or Hub id.
        task: Of a model for several tasks, the one that scores. By default the only one of kind "retrieval".
        attn_implementation: Attention backend.

    Returns:
        The model, for image-text retrieval (also of a folder of pre-training) or for several tasks, and the task to
        score with, None for the former.

    Raises:
        ValueError: If the model has no such task, or several and none is named.
    """
    heads = getattr(AutoConfig.from_pretrained(source), "multi_task_heads", {})
    scoring = [name for name, head in heads.items() if head["kind"] == "retrieval"]
    auto_class = AutoModelForMultiTask if heads else AutoModelForImageTextRetrieval
    if heads and task is None and len(scoring) == 1:
        task = scoring[0]
    if heads and not scoring:
        raise ValueError(f"{source} has heads for {', '.join(heads)}, none of which is for retrieval")
    if heads and task not in scoring:
        raise ValueError(f"which of the tasks of {source}? Give task: one of {', '.join(scoring)}; got {task!r}")
    if task is not None and not heads:
        raise ValueError(f"{source} is no model for several tasks: leave out task, got {task!r}")
    return auto_class.from_pretrained(source, attn_implementation=attn_implementation), task


class PairScorer:
    """Scores some texts of a split against all its images.

    Images are encoded once when they are few; of many, a part at a time is in memory.

    Args:
        model: For image-text retrieval, for several tasks, or for pre-training.
        processor: Encodes texts and regions.
        split: The texts and images.
        max_text_length: Word pieces a text keeps.
        pairs_per_chunk: Pairs a forward pass; does not change the scores.
        progress: Whether to show a progress bar for each part that is scored.
        first_stage: Chooses the images that the model scores for a text. The others follow behind them, in the first
            stage's order. None to score all.
        top_k: Images that it chooses.
        task: Of a model for several tasks, the one that scores.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: RegionTextProcessor,
        split: RetrievalSplit,
        *,
        max_text_length: int = 36,
        pairs_per_chunk: int = 2048,
        progress: bool = False,
        first_stage: FirstStage | None = None,
        top_k: int = 20,
        task: str | None = None,
    ) -> None:
        processor.check_text_length(max_text_length)
        self.model = model
        self.processor = processor
        self.split = split
        self.max_text_length = max_text_length
        self.pairs_per_chunk = pairs_per_chunk
        self.progress = progress
        self.first_stage = first_stage
        self.task = task
        self.top_k = min(top_k, len(split.image_ids))
        self._image_vectors = None if first_stage is None else first_stage.image_vectors(split)
        self._encoded = None if len(split.image_ids) > IMAGES_AT_ONCE else self._encode(slice(None))

    def score(self, rows: slice) -> np.ndarray:
        """The scores float32 `[n, M]` of the texts `rows`."""
        texts = self.processor(text=self.split.texts(rows), max_length=self.max_text_length)
        if self.first_stage is not None:
            return self._score_best(texts, self.first_stage.text_vectors(self.split, rows) @ self._image_vectors.T)
        if self._encoded is not None:
            return self._score(texts, self._encoded)
        starts = range(0, len(self.split.image_ids), IMAGES_AT_ONCE)
        return np.hstack([self._score(texts, self._encode(slice(start, start + IMAGES_AT_ONCE))) for start in starts])

    def _score_best(self, texts: dict, similarities: torch.Tensor) -> np.ndarray:
        """Scores of the `top_k` images of each text, and `similarities` `[n, M]` far below them for the others."""
        chosen = similarities.topk(self.top_k, dim=1).indices
        text_rows = torch.arange(len(chosen)).repeat_interleave(self.top_k)
        if self._encoded is not None:
            images, image_rows = self._encoded, chosen.flatten()
        else:
            wanted, image_rows = chosen.flatten().unique(return_inverse=True)
            images = dict(
                self.processor.feature_extractor([self.split.images(slice(i, i + 1))[0] for i in wanted.tolist()])
            )
        pairs = torch.stack((text_rows, image_rows), dim=1)
        scores = score_listed_pairs(
            self.model, texts, images, pairs, pairs_per_chunk=self.pairs_per_chunk, task=self.task
        )
        return (similarities + UNRANKED).scatter(1, chosen, scores.view_as(chosen)).numpy()

    def _encode(self, rows: slice) -> dict:
        return dict(self.processor.feature_extractor(self.split.images(rows)))

    def _score(self, texts: dict, images: dict) -> np.ndarray:
        how = {"pairs_per_chunk": self.pairs_per_chunk, "progress": self.progress, "task": self.task}
        return score_pairs(self.model, texts, images, **how).numpy()


def score_in_memory(scorer: PairScorer, accelerator: Accelerator) -> np.ndarray:
    """All scores; all processes call it together.

    Args:
        scorer: The same in all processes.
        accelerator: The processes.

    Returns:
        float32 `[N, M]`, in every process.
    """
    blocks = [(block.start, scorer.score(block)) for block in _mine(_blocks(scorer.split), accelerator)]
    if accelerator.num_processes > 1:
        blocks = gather_object(blocks)
    return np.vstack([scores for _, scores in sorted(blocks, key=lambda block: block[0])])


class ScoreFiles:
    """Scores on the disk: a file a block of texts, each written whole or not at all.

    `metrics_vl.score_retrieval` reads it as it is, a part at a time.

    Args:
        folder: Where the files are.
        shape: N texts and M images.

    Raises:
        FileNotFoundError: If a block is missing.
    """

    def __init__(self, folder: Path, shape: tuple[int, int]) -> None:
        self.folder = folder
        self.shape = shape
        for start in range(0, shape[0], TEXTS_A_BLOCK):
            if not _block_file(folder, start).is_file():
                raise FileNotFoundError(f"{folder} lacks the scores of the texts from {start} on: score them first")

    def __getitem__(self, rows: slice) -> np.ndarray:
        """The scores float32 `[n, M]` of the texts `rows`, one step apart."""
        start, stop, _ = rows.indices(self.shape[0])
        first = start - start % TEXTS_A_BLOCK
        parts = [np.load(_block_file(self.folder, block)) for block in range(first, stop, TEXTS_A_BLOCK)]
        return np.vstack([np.empty((0, self.shape[1]), np.float32), *parts])[start - first : stop - first]


def score_to_disk(scorer: PairScorer, folder: Path, accelerator: Accelerator) -> ScoreFiles:
    """Score everything that `folder` lacks; all processes call it together.

    Args:
        scorer: The same in all processes.
        folder: Where the blocks go; all processes see it. Blocks of another model or split are not mixed with these.
        accelerator: The processes.

    Returns:
        The scores.

    Raises:
        ValueError: If `folder` holds the scores of something else.
    """
    split = scorer.split
    description = {
        "model": _fingerprint(scorer.model),
        "task": scorer.task,
        "data": split.fingerprint,
        "regions": split.regions.fingerprint,
        "max_text_length": scorer.max_text_length,
        "first_stage": None if scorer.first_stage is None else scorer.first_stage.fingerprint,
        "top_k": None if scorer.first_stage is None else scorer.top_k,
    }
    if accelerator.is_main_process:
        _claim(folder, description)
    accelerator.wait_for_everyone()
    missing = [block for block in _blocks(split) if not _block_file(folder, block.start).is_file()]
    accelerator.wait_for_everyone()  # all have looked before the first one writes
    mine = list(_mine(missing, accelerator))
    for block in tqdm(mine, desc="scoring", unit="block", disable=not accelerator.is_main_process):
        file = _block_file(folder, block.start)
        partial = file.with_name(f"{file.name}.partial")
        with partial.open("wb") as sink:
            np.save(sink, scorer.score(block))
        os.replace(partial, file)
    accelerator.wait_for_everyone()
    return ScoreFiles(folder, (len(split.indices), len(split.image_ids)))


def _fingerprint(model: PreTrainedModel) -> str:
    """A checksum of all weights: a folder's name stays when its model is trained anew."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()[:16]


def _claim(folder: Path, description: dict[str, str | int | None]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DESCRIPTION
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        changes = [
            f"{name} was {found.get(name)!r}, is {value!r}"
            for name, value in description.items()
            if found.get(name) != value
        ]
        if changes:
            raise ValueError(
                f"{folder} holds scores of something else: {'; '.join(changes)}. Delete it, or choose another "
                "output_dir"
            )
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _blocks(split: RetrievalSplit) -> list[slice]:
    count = len(split.indices)
    return [slice(start, min(start + TEXTS_A_BLOCK, count)) for start in range(0, count, TEXTS_A_BLOCK)]


def _mine(blocks: list[slice], accelerator: Accelerator) -> Iterator[slice]:
    return iter(blocks[accelerator.process_index :: accelerator.num_processes])


def _block_file(folder: Path, start: int) -> Path:
    return folder / f"texts-{start:08d}.npy"
