"""A cheap first stage of retrieval: which images a model should look at for a text, from two linear maps.

Scoring a text against every image with the whole model costs a forward pass a pair. A text's and an image's own
vectors are computed once each, and comparing them is one matrix product; the model then ranks the best of them anew.
The maps are fitted in closed form, by canonical correlation between what the model's text layers make of captions and
the regions of their images, on captioned images that are not those to be ranked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from datasets_vl.tasks.caption_retrieval import RetrievalSplit
from modeling_vl.streams import Pass, Stream
from processing_vl.processing_regions import RegionTextProcessor

from .canonical_correlation import canonical_maps
from .visual_start import IMAGE_RIDGE, TEXT_RIDGE

ROWS_AT_ONCE = 64


class _Side(NamedTuple):
    """From the raw vectors of one side to those that are compared."""

    mean: Tensor
    deviation: Tensor
    projection: Tensor

    def map(self, raw: Tensor) -> Tensor:
        return nn.functional.normalize((raw - self.mean) / self.deviation @ self.projection, dim=1)


class FirstStage:
    """Texts and images as vectors, whose inner product tells how well they fit.

    Args:
        model: For image-text retrieval, or for pre-training; its text layers read the texts.
        processor: Encodes texts and regions.
        split: The captioned images to fit the maps on.
        max_text_length: Word pieces a text keeps.

    Raises:
        ValueError: If the split has too few images.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        processor: RegionTextProcessor,
        split: RetrievalSplit,
        *,
        max_text_length: int = 36,
    ) -> None:
        self.model = model
        self.processor = processor
        self.max_text_length = max_text_length
        self.fingerprint = f"{split.fingerprint}-{split.regions.fingerprint}"
        count = len(split.image_ids)
        images, texts = self._raw_images(split), self._raw_texts(split, slice(0, len(split.indices)))
        owners = torch.from_numpy(split.owners)
        of_images = torch.zeros(count, texts.shape[1]).index_add_(0, owners, texts)
        of_images /= owners.bincount(minlength=count)[:, None]
        sides = [(raw.mean(0), raw.std(0) + 0.1 * raw.std()) for raw in (images, of_images)]
        standardised = [
            (raw - mean) / deviation for raw, (mean, deviation) in zip((images, of_images), sides, strict=True)
        ]
        size = min(*(raw.shape[1] for raw in standardised), count - 1)
        maps = canonical_maps(*standardised, size, first_ridge=IMAGE_RIDGE / count, second_ridge=TEXT_RIDGE / count)
        self._image_side, self._text_side = (
            _Side(*side, projection) for side, projection in zip(sides, (maps.first, maps.second), strict=True)
        )

    def image_vectors(self, split: RetrievalSplit) -> Tensor:
        """Vectors of all images of `split`, `[M, K]`."""
        return self._image_side.map(self._raw_images(split))

    def text_vectors(self, split: RetrievalSplit, rows: slice) -> Tensor:
        """Vectors of some texts.

        Args:
            split: Where they are.
            rows: Which.

        Returns:
            `[n, K]`.
        """
        return self._text_side.map(self._raw_texts(split, rows))

    def _raw_images(self, split: RetrievalSplit) -> Tensor:
        """The mean of all regions, and the first one, which is the whole image where the data has it, `[M, 2 D]`."""
        parts = []
        for start in range(0, len(split.image_ids), ROWS_AT_ONCE):
            batch = self.processor.feature_extractor(split.images(slice(start, start + ROWS_AT_ONCE)))
            features, mask = batch["visual_embeds"], batch["visual_attention_mask"][..., None]
            parts.append(torch.cat(((features * mask).sum(1) / mask.sum(1), features[:, 0]), dim=1))
        return torch.cat(parts)

    def _raw_texts(self, split: RetrievalSplit, rows: slice) -> Tensor:
        """`text_means` of some texts, without dropout, `[n, hidden_size]`."""
        was_training = self.model.training
        self.model.eval()
        parts = []
        try:
            for start in range(rows.start, rows.stop, ROWS_AT_ONCE):
                texts = split.texts(slice(start, min(start + ROWS_AT_ONCE, rows.stop)))
                inputs = self.processor(text=texts, max_length=self.max_text_length)
                parts.append(
                    text_means(self.model, {name: value.to(self.model.device) for name, value in inputs.items()})
                )
        finally:
            self.model.train(was_training)
        return torch.cat(parts)


@torch.no_grad()
def text_means(model: PreTrainedModel, inputs: Mapping[str, Tensor]) -> Tensor:
    """What the model makes of texts before it looks at an image, the mean over word pieces.

    Args:
        model: For image-text retrieval, or for pre-training.
        inputs: Of n texts, on the model's device.

    Returns:
        float32 `[n, hidden_size]` on the CPU.
    """
    base, config = model.base_model, model.config
    if config.model_type == "visualbert":
        states = base(**inputs).last_hidden_state
        mask = inputs["attention_mask"][..., None]
        return ((states * mask).sum(1) / mask.sum(1)).float().cpu()
    forward_pass = Pass.of(config, output_hidden_states=False, output_attentions=False)
    ids = inputs["input_ids"]
    layout = forward_pass.layout(inputs["attention_mask"], *ids.shape, ids.device)
    embedded = base.text_embeddings(ids, inputs.get("token_type_ids"), None, None, layout)
    text = Stream(forward_pass, embedded, layout)
    text.run(base.encoder.text_layers[: (config.text_coattention_ids or [config.num_hidden_layers])[0]])
    return layout.mean(text.states).float().cpu()
