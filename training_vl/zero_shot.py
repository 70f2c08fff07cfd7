"""What a pre-trained model has learnt, held against the same model with the images exchanged and against chance."""

from __future__ import annotations

from accelerate import Accelerator
from transformers import PreTrainedModel

from datasets_vl.captions import CaptionTable
from datasets_vl.evaluation import evaluation_batches
from datasets_vl.local import LocalRegions
from datasets_vl.pretraining import PreTrainingTask
from datasets_vl.tasks.caption_retrieval import RetrievalSplit
from datasets_vl.training_data import Collator
from processing_vl.processing_regions import RegionTextProcessor

from .exchanged_images import ExchangedRegions
from .pretraining_metrics import evaluate_pretraining
from .retrieval_report import Table, measure_recalls
from .retrieval_scoring import PairScorer

COLUMNS = ("model", "exchanged", "chance")


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
    for name, source in (
        ("model", regions),
        ("exchanged", ExchangedRegions(regions, task.captions.image_ids.array, seed)),
    ):
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
    split = RetrievalSplit.of(captions, regions, num_images=num_images, captions_per_image=captions_per_image)
    scorer = PairScorer(
        model, processor, split, max_text_length=max_text_length, pairs_per_chunk=pairs_per_chunk, progress=progress
    )
    table = measure_recalls(scorer.score(slice(0, len(split.indices))), split, seed=seed)
    return {name: {column: row[column] for column in COLUMNS} for name, row in table.items()}
