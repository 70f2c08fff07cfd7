"""What a pre-trained model has learnt, held against the same model with the images exchanged and against chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from datasets_vl.captions import CaptionTable
from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.training_data import Collator
from metrics_vl.recall import chance_recall_at_k, recall_at_k
from modeling_vl.retrieval import score_pairs
from processing_vl.processing_regions import RegionTextProcessor
from processing_vl.region_features import RegionFeatures

from .pretraining_metrics import evaluate_pretraining

RECALLS = (1, 5, 10)

Table = dict[str, dict[str, float]]
"""Scores by name, then by column: "model", "exchanged" (the control) and "chance"."""


class ExchangedRegions(Dataset[RegionFeatures]):
    """Images whose regions are those of another one: what a model still gets right, it gets from the text alone.

    Args:
        regions: The images.
        captions: Regions change places among the images that have captions here.
        seed: Of the exchange.
    """

    def __init__(self, regions: LocalRegions, captions: CaptionTable, seed: int = 0) -> None:
        self.regions = regions
        self.folder = regions.folder
        self.image_ids = regions.image_ids
        positions = regions.image_ids.positions(captions.image_ids.array)
        positions = positions[positions >= 0]
        self._source = np.arange(len(regions))
        self._source[positions] = positions[exchange(len(positions), seed)]

    def __len__(self) -> int:
        return len(self.regions)

    def __getitem__(self, position: int) -> RegionFeatures:
        """The image at `position`, with the regions of another one."""
        return replace(self.regions[int(self._source[position])], image_id=self.image_ids[position])


def exchange(count: int, seed: int = 0) -> np.ndarray:
    """A permutation int64 `[count]`, drawn from `seed`, that leaves nothing in its place (unless `count` is 1)."""
    order = np.random.default_rng(seed).permutation(count)
    partner = np.empty(count, dtype=np.int64)
    partner[order] = np.roll(order, -1)
    return partner


def measure_objectives(
    model: PreTrainedModel,
    collator: Collator,
    regions: LocalRegions,
    task: PreTrainingTask,
    *,
    batch_size: int = 64,
    seed: int = 0,
) -> Table:
    """Accuracy of masked tokens, masked regions and alignment.

    Args:
        model: For pre-training.
        collator: Makes batches, as in training.
        regions: The images.
        task: Their captions, and the form of the examples.
        batch_size: Examples a forward pass.
        seed: Of the exchange of images in the control.

    Returns:
        Rows "masked-token accuracy", "masked-region accuracy" and "alignment accuracy", those that the model and the
        task have. Chance is always giving the most frequent answer.
    """
    accelerator = Accelerator(cpu=model.device.type == "cpu")
    columns = {}
    for name, source in (("model", regions), ("exchanged", ExchangedRegions(regions, task.captions, seed))):
        batches = evaluation_batches(source, task, collator, batch_size=batch_size)
        columns[name] = evaluate_pretraining(model, batches, accelerator)
    rows = {"token": "masked-token accuracy", "region": "masked-region accuracy", "alignment": "alignment accuracy"}
    return {
        label: {
            "model": columns["model"][f"{row}_accuracy"],
            "exchanged": columns["exchanged"][f"{row}_accuracy"],
            "chance": columns["model"][f"{row}_chance"],
        }
        for row, label in rows.items()
        if f"{row}_accuracy" in columns["model"]
    }


def measure_retrieval(
    model: PreTrainedModel,
    processor: RegionTextProcessor,
    regions: LocalRegions,
    captions: CaptionTable,
    *,
    num_images: int | None = None,
    captions_per_image: int | None = None,
    max_text_length: int = 36,
    pairs_per_chunk: int = 256,
    seed: int = 0,
    progress: bool = False,
) -> Table:
    """Zero-shot retrieval with the alignment head (ViLBERT paper, section 4.1).

    In the control every image stands for another one; as a score depends on a text and regions alone, that exchanges
    the columns of the scores.

    Args:
        model: For pre-training.
        processor: Encodes texts and regions.
        regions: The images.
        captions: Their captions.
        num_images: Images to retrieve among: the first ones of `captions` that have regions. All by default.
        captions_per_image: Captions of each image, from its first on. All by default.
        max_text_length: Word pieces a text keeps, special tokens included.
        pairs_per_chunk: See `modeling_vl.retrieval.score_pairs`.
        seed: Of the exchange of images in the control.
        progress: Whether to show a progress bar.

    Returns:
        Rows "caption to image R@1", ... and "image to caption R@1", ...

    Raises:
        ValueError: If fewer than two images have captions and regions.
    """
    chosen = [name for name in captions.image_ids if regions.image_ids.find(name) is not None][:num_images]
    if len(chosen) < 2:
        raise ValueError(f"retrieval needs two images at least, {len(chosen)} have captions and regions")
    texts, owners = [], []
    for number, name in enumerate(chosen):
        for index in captions.captions_of(name)[:captions_per_image]:
            texts.append(captions.text(index))
            owners.append(number)
    images = processor.feature_extractor([regions[regions.index_of(name)] for name in chosen])
    encoded = processor(text=texts, max_length=max_text_length)
    scores = score_pairs(model, encoded, images, pairs_per_chunk=pairs_per_chunk, progress=progress)
    return retrieval_table(scores, owners, seed=seed)


def retrieval_table(scores: Tensor, owners: Sequence[int], *, seed: int = 0) -> Table:
    """Recalls in both directions, with the control and chance.

    Args:
        scores: `[N, M]` of N texts and M images.
        owners: The image that each text belongs to, N numbers below M.
        seed: Of the exchange of images in the control.

    Returns:
        Rows "caption to image R@1", ... and "image to caption R@1", ...
    """
    relevant = torch.tensor(owners)[:, None] == torch.arange(scores.shape[1])
    exchanged = scores[:, exchange(scores.shape[1], seed)]
    rows: Table = {}
    for direction, turn in (("caption to image", Tensor.clone), ("image to caption", Tensor.t)):
        columns = {
            "model": recall_at_k(turn(scores), turn(relevant), RECALLS),
            "exchanged": recall_at_k(turn(exchanged), turn(relevant), RECALLS),
            "chance": chance_recall_at_k(turn(relevant), RECALLS),
        }
        rows |= {f"{direction} R@{k}": {name: column[k] for name, column in columns.items()} for k in RECALLS}
    return rows
