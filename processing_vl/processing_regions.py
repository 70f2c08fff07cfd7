"""Texts and regions become the inputs of both models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.feature_extraction_utils import BatchFeature
from transformers.processing_utils import ProcessorMixin, Unpack
from transformers.tokenization_utils_base import LARGE_INTEGER, BatchEncoding, PreTrainedTokenizerBase

from configuration_vl.hub_code import CarriesCode

from .feature_extraction_regions import RegionFeatureExtractor
from .processor_arguments import RegionTextKwargs, RegionTextProcessorKwargs
from .region_features import RegionFeatures


class RegionTextProcessor(CarriesCode, ProcessorMixin, auto_class="AutoProcessor"):
    """A tokenizer for the text and a `RegionFeatureExtractor` for the image.

    Args:
        feature_extractor: Pads regions.
        tokenizer: Any tokenizer with the vocabulary of the model, BERT's for the released checkpoints.
        append_mask: Whether every text is a question that ends in "?" and a mask token, where VisualBERT's VQA model
            reads the answer (`answer_position="mask"` of its config; uclanlp's loader). A "?" that is there already is
            not doubled, and a long question is cut before the mask token.
        **kwargs: Further entries of a saved processor that transformers knows.

    Raises:
        ValueError: The tokenizer pads on the left, or has no mask token to append.
    """

    valid_processor_kwargs = RegionTextProcessorKwargs

    def __init__(
        self,
        feature_extractor: RegionFeatureExtractor,
        tokenizer: PreTrainedTokenizerBase,
        append_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(feature_extractor, tokenizer, **kwargs)
        _check_padding_side(tokenizer)
        if append_mask and tokenizer.mask_token_id is None:
            raise ValueError(f"append_mask=True, but {type(tokenizer).__name__} has no mask token")
        self.append_mask = append_mask

    def __call__(
        self,
        text: str | Sequence[str] | None = None,
        text_pair: str | Sequence[str] | None = None,
        regions: RegionFeatures | Mapping[str, Any] | Sequence[RegionFeatures | Mapping[str, Any]] | None = None,
        **kwargs: Unpack[RegionTextProcessorKwargs],
    ) -> BatchFeature:
        """Encode pairs of a text and an image, or one of the two alone.

        As with every processor of transformers, the keyword arguments may also come in a dictionary `text_kwargs`.

        Args:
            text: One text or a list of B texts.
            text_pair: A second text for each, behind a separator of its own.
            regions: One image or a list of B images, see `RegionFeatureExtractor`.
            **kwargs: `return_tensors`: "pt" (default) for torch tensors, "np" for numpy arrays.
                `padding`: how texts are padded: True (default) to the longest, "max_length" to `max_length`, False not
                at all.
                `truncation`: how long texts are cut: True (default) cuts word pieces off the end, of the longer text
                of a pair first; special tokens are always kept. "only_first" and "only_second" cut one text of a
                pair, False none.
                `max_length`: longest text in word pieces, special tokens included; what the tokenizer allows when
                left out.

        Returns:
            For text `input_ids`, `attention_mask` and `token_type_ids`, int64 `[B, T]`; for regions `visual_embeds`
            float32 `[B, R, D]`, `visual_locations` float32 `[B, R, L]` and `visual_attention_mask` int64 `[B, R]`.

        Raises:
            InvalidRegionFeatures: An image is not fit for the model.
            TypeError: A keyword argument is unknown.
            ValueError: There is neither text nor regions, a second text has no first one, the numbers of texts and
                images differ, a keyword argument is given twice, or the tokenizer pads on the left.
        """
        text_kwargs = self._text_kwargs(kwargs)
        return_tensors = text_kwargs.pop("return_tensors")
        if text is None and text_pair is not None:
            raise ValueError("text_pair is a second text, but there is no first one: give text as well")
        if text is None and regions is None:
            raise ValueError("the processor needs text, regions or both; it got neither")
        if text is not None and not isinstance(text, str) and not len(text):
            raise ValueError("there are no texts to encode: the list of texts is empty")
        inputs: dict[str, Any] = {}
        if text is not None:
            encoding = self.encode_texts(text, text_pair, **text_kwargs)
            inputs |= {name: _as_tensor(value, return_tensors) for name, value in encoding.items()}
        if regions is not None:
            inputs |= self.feature_extractor(regions, return_tensors=return_tensors)
        if text is not None and regions is not None:
            _check_batch_sizes(len(inputs["input_ids"]), len(inputs["visual_embeds"]))
        return BatchFeature(inputs)

    def _text_kwargs(self, kwargs: Mapping[str, Any]) -> dict[str, Any]:
        nested = ("text_kwargs", "common_kwargs")
        known = list(RegionTextKwargs.__annotations__)
        given = {*kwargs, *(name for group in nested for name in kwargs.get(group, ()))}
        unknown = sorted(given - {*known, *nested})
        if unknown:  # transformers would ignore them, with a warning at most
            raise TypeError(f"the processor got the unknown keyword arguments {unknown}; it takes {known}")
        # What the tokenizer was built with is left out: published ones carry a `max_length` that would cut texts.
        return self._merge_kwargs(RegionTextProcessorKwargs, **kwargs)["text_kwargs"]

    def encode_texts(
        self,
        text: str | Sequence[str],
        text_pair: str | Sequence[str] | None = None,
        *,
        padding: bool | str = True,
        truncation: bool | str = True,
        max_length: int | None = None,
    ) -> BatchEncoding:
        """The texts of `__call__`, still with the places of their words (`BatchEncoding.encodings`).

        Args:
            text: One text or a list of B texts.
            text_pair: A second text for each.
            padding: See `__call__`.
            truncation: See `__call__`.
            max_length: See `__call__`.

        Returns:
            `input_ids`, `attention_mask` and `token_type_ids`, numpy int64 `[B, T]`.

        Raises:
            ValueError: The tokenizer pads on the left.
        """
        _check_padding_side(self.tokenizer)
        if self.append_mask:
            text = _as_question(text) if isinstance(text, str) else [_as_question(one) for one in text]
            longest = min(max_length or self.tokenizer.model_max_length, self.tokenizer.model_max_length)
            max_length = longest - 1 if longest < LARGE_INTEGER else None  # else the tokenizer allows any length
        encoding = self.tokenizer(
            [text] if isinstance(text, str) else text,
            [text_pair] if isinstance(text_pair, str) else text_pair,
            return_tensors="np",
            padding=padding,
            truncation=truncation,
            max_length=max_length,
            return_token_type_ids=True,
            return_attention_mask=True,
        )
        if self.append_mask:
            _insert_before_the_end(encoding, self.tokenizer.mask_token_id)
        return encoding

    def check_text_length(self, max_text_length: int) -> None:
        """Refuse a longest text that no pair of texts fits into, or that the model has no positions for.

        Args:
            max_text_length: In word pieces, special tokens included.

        Raises:
            ValueError: It is too small or too large.
        """
        num_special = self.tokenizer.num_special_tokens_to_add(pair=True) + self.append_mask
        if max_text_length <= num_special:
            raise ValueError(
                f"max_text_length={max_text_length} leaves no room for words: "
                f"a pair of texts has {num_special} special tokens"
            )
        if max_text_length > self.tokenizer.model_max_length:
            raise ValueError(
                f"max_text_length={max_text_length} is more than the model has positions for: the tokenizer's "
                f"model_max_length is {self.tokenizer.model_max_length}"
            )


def _as_tensor(values: np.ndarray, kind: str) -> torch.Tensor | np.ndarray:
    if kind not in ("pt", "np"):
        raise ValueError(f"return_tensors must be 'pt' or 'np', got {kind!r}")
    return torch.from_numpy(values) if kind == "pt" else values


def _as_question(text: str) -> str:
    return text if text.rstrip().endswith("?") else f"{text}?"


def _insert_before_the_end(encoding: BatchEncoding, token_id: int) -> None:
    """Insert a token before the last token of every text, which has the same segment."""
    lengths = encoding["attention_mask"].sum(axis=1)
    for name, inserted in (("input_ids", token_id), ("attention_mask", 1), ("token_type_ids", None)):
        rows = encoding[name]
        wider = np.zeros((len(rows), rows.shape[1] + 1), dtype=rows.dtype)
        for row, (values, length) in enumerate(zip(rows, lengths, strict=True)):
            value = values[length - 1] if inserted is None else inserted
            wider[row] = np.insert(values, length - 1, value)
        encoding[name] = wider


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
