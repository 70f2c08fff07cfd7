"""What an (image, caption) pair is turned into for pre-training: which text, and whether it matches the image."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from processing_vl.pretraining_example import MATCH, MISMATCH, PreTrainingExample
from processing_vl.region_features import RegionFeatures

from .captions import CaptionTable

PreTrainingForm = Literal["caption", "caption_pair", "matched"]

# Other draws for the same example, such as the collator's masks, start from the same key with another last number.
_TASK_STREAM = 0


class PreTrainingTask:
    """Makes the pre-training example of an image and one of its captions.

    The forms are

    * `"caption"`: the caption, or with `mismatch_probability` a caption of another image. ViLBERT (section 3.1,
      multi-modal alignment prediction), and VisualBERT with a single caption.
    * `"caption_pair"`: the caption as first text; as second text another caption of the same image, or with
      `mismatch_probability` a caption of another image. VisualBERT (section 3.3, pre-training on COCO).
    * `"matched"`: always the caption, without an alignment label. ViLBERT's objective 2 and VisualBERT's
      task-specific pre-training.

    The original loaders draw the false caption from all captions and label it a mismatch even when the draw gives a
    caption of the very image; here it is drawn from the captions of the other images, so a label is always true.

    An example depends on the seed, the epoch and the caption alone, never on what was drawn before it: any process can
    make it at any time, and a resumed run sees the same examples.

    Args:
        captions: The captions of the split.
        form: One of the forms above.
        mismatch_probability: Share of examples with a false caption; 0.5 in both originals. Unused by `"matched"`.
        seed: Seed of all draws, not negative.

    Raises:
        ValueError: If the captions cannot serve the form: mismatches with captions of one image only, or pairs with
            images that have a single caption.
    """

    def __init__(
        self,
        captions: CaptionTable,
        *,
        form: PreTrainingForm = "caption",
        mismatch_probability: float = 0.5,
        seed: int = 0,
    ) -> None:
        if form not in get_args(PreTrainingForm):
            raise ValueError(f"form must be one of {', '.join(get_args(PreTrainingForm))}, got {form!r}")
        if not 0.0 <= mismatch_probability <= 1.0:
            raise ValueError(f"mismatch_probability must lie between 0 and 1, got {mismatch_probability}")
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        if form != "matched" and mismatch_probability > 0 and len(captions.image_ids) < 2:
            raise ValueError(
                f"all {len(captions)} captions belong to image {captions.image_ids[0]!r}, so there is no caption of "
                "another image to draw; use form='matched' or mismatch_probability=0"
            )
        if form == "caption_pair":
            lone = np.flatnonzero(np.diff(captions.offsets) < 2)
            if lone.size:
                raise ValueError(
                    f"form 'caption_pair' needs two captions an image, but {lone.size} of {len(captions.image_ids)} "
                    f"images have a single one, the first is {captions.image_ids[int(lone[0])]!r}; leave them out or "
                    "use form='caption'"
                )
        self.captions = captions
        self.form = form
        self.mismatch_probability = mismatch_probability
        self.seed = seed

    @property
    def table(self) -> CaptionTable:
        """The captions: an example for each."""
        return self.captions

    @property
    def settings(self) -> dict[str, str | float | int]:
        """What, beside the data, decides which examples come: kept with a saved position and compared on resume."""
        return {
            "form": self.form,
            "mismatch_probability": self.mismatch_probability,
            "task_seed": self.seed,
            "captions": self.captions.fingerprint,
        }

    def example(self, regions: RegionFeatures, caption_index: int, epoch: int) -> PreTrainingExample:
        """The example of one caption in one epoch.

        Args:
            regions: The regions of the image that the caption describes; passed on, not copied.
            caption_index: Number of the caption in the table.
            epoch: Which pass over the data this is, from 0: every pass draws afresh.

        Returns:
            The example, without a label (None) in the form "matched".

        Raises:
            ValueError: If the caption describes another image than `regions`.
        """
        position = self.captions.position_of(caption_index)
        own, image_id = self.captions.captions_at(position), self.captions.image_ids[position]
        if image_id != regions.image_id:
            raise ValueError(
                f"caption {caption_index} describes image {image_id!r}, got regions of {regions.image_id!r}"
            )
        text, text_pair, label = caption_index, None, None
        if self.form != "matched":
            key = np.random.SeedSequence([self.seed, epoch, caption_index, _TASK_STREAM])
            generator = np.random.Generator(np.random.Philox(key))
            label = MISMATCH if generator.random() < self.mismatch_probability else MATCH
            if label == MISMATCH:
                drawn = _draw_outside(generator, len(self.captions), own)
            elif self.form == "caption_pair":
                drawn = own.start + _draw_outside(
                    generator, len(own), range(caption_index - own.start, caption_index - own.start + 1)
                )
            else:
                drawn = caption_index
            text, text_pair = (caption_index, drawn) if self.form == "caption_pair" else (drawn, None)
        return PreTrainingExample(
            image_id=regions.image_id,
            regions=regions,
            text=self.captions.text(text),
            text_pair=None if text_pair is None else self.captions.text(text_pair),
            alignment_label=label,
            rng_key=(self.seed, epoch, caption_index),
        )


def _draw_outside(generator: np.random.Generator, count: int, excluded: range) -> int:
    """Draws evenly from `0 .. count - 1` without `excluded`: the same as drawing until it is none of these."""
    drawn = int(generator.integers(count - len(excluded)))
    return drawn if drawn < excluded.start else drawn + len(excluded)
