"""All benchmarks that can be prepared, by name."""

from __future__ import annotations

from .benchmark import Benchmark
from .flickr30k_entities import FLICKR30K_ENTITIES
from .gqa import GQA
from .nlvr1 import NLVR1
from .nlvr2 import NLVR2
from .refcoco import REFCOCO, REFCOCO_PLUS, REFCOCOG
from .snli_ve import SNLI_VE
from .vcr import VCR
from .vqa import VQA

_ALL = (VQA, GQA, VCR, NLVR2, SNLI_VE, NLVR1, REFCOCO, REFCOCO_PLUS, REFCOCOG, FLICKR30K_ENTITIES)
BENCHMARKS: dict[str, Benchmark] = {benchmark.name: benchmark for benchmark in _ALL}
