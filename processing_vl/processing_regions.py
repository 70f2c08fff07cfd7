"""Texts and regions become the inputs of both models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from .feature_extraction_regions import RegionFeatureExtractor
from .region_features import RegionFeatures


class RegionTextProcessor(ProcessorMixin):
    """A tokenizer for the text and a `RegionFeatureExtractor` for the image.

    Args:
        feature_extractor: Pads regions.
        tokenizer: Any tokenizer with the vocabulary of the model, BERT's for the released checkpoints.
        **kwargs: Further entries of a saved processor that transformers knows.

    Raises:
        ValueError: The tokenizer pads on the left.
    """

    def __init__(
        self, feature_extractor: RegionFeatureExtractor, tokenizer: PreTrainedTokenizerBase, **kwargs: Any
    ) -> None:
        super().__init__(feature_extractor, tokenizer, **kwargs)
        _check_padding_side(tokenizer)

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        text_pair: str | Sequence[str] | None = None,
        regions: RegionFeatures | Mapping[str, Any] | Sequence[RegionFeatures | Mapping[str, Any]] | None = None,
        *,
        return_tensors: str = "pt",
        padding: bool | str = True,
        truncation: bool | str = True,
        max_length: int | None = None,
    ) -> BatchFeature:
        """Encode pairs of a text and an image, or one of the two alone.

        Args:
            text: One text or a list of B texts.
            text_pair: A second text for each, behind a separator of its own.
            regions: One image or a list of B images, see `RegionFeatureExtractor`.
            return_tensors: "pt" for torch tensors, "np" for numpy arrays.
            padding: How texts are padded: True to the longest, "max_length" to `max_length`, False not at all.
            truncation: How long texts are cut: True cuts word pieces off the end, of the longer text of a pair first;
                special tokens are always kept. "only_first" and "only_second" cut one text of a pair, False none.
            max_length: Longest text in word pieces, special tokens included; what the tokenizer allows when None.

        Returns:
            For text `input_ids`, `attention_mask` and `token_type_ids`, int64 `[B, T]`; for regions `visual_embeds`
            float32 `[B, R, D]`, `visual_locations` float32 `[B, R, L]` and `visual_attention_mask` int64 `[B, R]`.

        Raises:
            InvalidRegionFeatures: An image is not fit for the model.
            ValueError: There is neither text nor regions, a second text has no first one, the numbers of texts and
                images differ, or the tokenizer pads on the left.
        """
        if text is None and text_pair is not None:
            raise ValueError("text_pair is a second text, but there is no first one: give text as well")
        if text is None and regions is None:
            raise ValueError("the processor needs text, regions or both; it got neither")
        if text is not None and not isinstance(text, str) and not len(text):
            raise ValueError("there are no texts to encode: the list of texts is empty")
        inputs: dict[str, Any] = {}
        if text is not None:
            _check_padding_side(self.tokenizer)
            inputs |= self.tokenizer(
                text,
                text_pair,
                return_tensors=return_tensors,
                padding=padding,
                truncation=truncation,
                max_length=max_length,
                return_token_type_ids=True,
                return_attention_mask=True,
            )
        if regions is not None:
            inputs |= self.feature_extractor(regions, return_tensors=return_tensors)
        if text is not None and regions is not None:
            _check_batch_sizes(len(inputs["input_ids"]), len(inputs["visual_embeds"]))
        return BatchFeature(inputs)


def _check_padding_side(tokenizer: PreTrainedTokenizerBase) -> None:
    if tokenizer.padding_side != "right":
        raise ValueError(
            f"the tokenizer pads on the {tokenizer.padding_side}: the models count positions from the first token and "
            "read the text as a whole there, where a padded text would have a pad token. "
            "Set tokenizer.padding_side = 'right'"
        )


def _check_batch_sizes(num_texts: int, num_images: int) -> None:
    if num_texts != num_images:
        raise ValueError(
            f"there are {num_texts} texts and {num_images} images; text i belongs to image i, so give as many of each "
            "(repeat an image that has several texts)"
        )
