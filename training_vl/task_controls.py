"""What a model's scores on a task must be held against: exchanged images, and guessing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from processing_vl.region_features import RegionFeatures

from .exchanged_images import ExchangedRegions
from .task_scores import Predictions, Scores, guess
from .task_setup import TaskSplit
from .tasks import TaskDefinition

MODEL, EXCHANGED, GUESSING = "model", "exchanged images", "guessing"


class ExchangedFeatures(ExchangedRegions):
    """Images that keep their boxes and show in them what is in another image: the control where boxes are chosen."""

    def __getitem__(self, position: int) -> RegionFeatures:
        """The image at `position`, with the features of another one, repeated where that has fewer regions."""
        own, other = self.regions[position], super().__getitem__(position)
        return replace(own, features=np.resize(other.features, (own.num_regions, other.feature_dim)))


def exchanged_images(task: TaskDefinition, split: TaskSplit, seed: int = 0) -> TaskSplit:
    """A split in which every image shows another one: what is still right comes from the text, or text and boxes.

    Args:
        task: The task.
        split: Of local images.
        seed: Of the exchange.

    Returns:
        The same split but for the images.
    """
    table = split.table
    named = pc.unique(pa.concat_arrays([table.image_ids.array.cast(pa.string()), table.second_images]))
    regions = (ExchangedFeatures if task.chooses_boxes else ExchangedRegions)(split.regions, named, seed)
    return replace(split, regions=regions)


def with_controls(
    task: TaskDefinition, split: TaskSplit, predictions: Predictions, exchanged: Predictions
) -> dict[str, Scores]:
    """Scores of a model beside what they must be held against.

    Args:
        task: The task.
        split: What was predicted.
        predictions: Of the model.
        exchanged: Of the model with the images exchanged.

    Returns:
        Scores of the model, of the model with exchanged images, and of guessing: always the most frequent answer of
        the split, or any of the boxes.
    """
    guesses = guess(split.table, predictions, task.label_field)
    columns = {MODEL: predictions, EXCHANGED: exchanged, GUESSING: guesses}
    return {name: task.score(split.table, column, split.proposals) for name, column in columns.items()}
