"""The keyword arguments of the processor, in the form in which transformers' processors declare theirs."""

from typing import TypedDict

from transformers.processing_utils import ProcessingKwargs

# transformers looks the annotations up at run time: no postponed ones in this file


class RegionTextKwargs(TypedDict, total=False):
    """How texts are encoded: see `RegionTextProcessor.__call__`."""

    padding: bool | str
    truncation: bool | str
    max_length: int | None
    return_tensors: str


class RegionTextProcessorKwargs(ProcessingKwargs, total=False):
    """What `RegionTextProcessor.__call__` takes besides texts and regions, and its defaults."""

    text_kwargs: RegionTextKwargs
    _defaults = {"text_kwargs": {"padding": True, "truncation": True, "return_tensors": "pt"}}
