"""transformers' tests of processors and feature extractors, on ours."""

from __future__ import annotations

import unittest
from typing import Any
from unittest.mock import patch

from transformers import PreTrainedTokenizerBase

import modeling_vl  # noqa: F401  registers the feature extractor with its Auto class
from processing_vl import RegionFeatureExtractor, RegionFeatures, RegionTextProcessor
from tests.integration.transformers_suite.upstream import module_or_skip
from tests.minilm import tokenizer
from tests.random_regions import random_regions

common = module_or_skip("test_processing_common")
feature_common = module_or_skip("test_feature_extraction_common")


class RegionTextProcessorTest(common.ProcessorTesterMixin, unittest.TestCase):
    """Regions are made known as a kind of input besides texts, images, videos and sound."""

    processor_class = RegionTextProcessor
    regions_input_name = "visual_embeds"

    def setUp(self) -> None:
        regions = {"component_key": "feature_extractor", "call_time_kwargs": {"return_tensors": "pt"}}
        patched = patch.dict(common.MODALITY_TEST_SPECS, regions=regions)
        patched.start()
        self.addCleanup(patched.stop)

    @classmethod
    def _setup_feature_extractor(cls) -> RegionFeatureExtractor:
        return RegionFeatureExtractor(visual_embedding_dim=8)

    @classmethod
    def _setup_tokenizer(cls) -> PreTrainedTokenizerBase:
        return tokenizer()

    @staticmethod
    def prepare_processor_dict() -> dict[str, Any]:
        return {"append_mask": False}

    def prepare_regions_inputs(self) -> RegionFeatures:
        return random_regions(3)

    def get_subprocessor_name(self, modality: str, attributes: list[str]) -> str:
        # A feature extractor counts as one of sound unless told otherwise.
        return "audio_processor" if modality == "audio" else super().get_subprocessor_name(modality, attributes)

    @staticmethod
    def does_processor_return_mm_offsets(processor_class: type, method: str) -> bool:
        # Asked of the class's first base, which is not always transformers' own.
        return False

    def test_model_input_names(self) -> None:
        # The test itself gives images, videos and sound, but no regions.
        processor = self.get_processor()
        inputs = processor(text=self.prepare_text_inputs(), regions=self.prepare_regions_inputs())
        self.assertEqual(set(inputs), set(processor.model_input_names))


class RegionFeatureExtractorTest(feature_common.FeatureExtractionSavingTestMixin, unittest.TestCase):
    """Saving and loading."""

    feature_extraction_class = RegionFeatureExtractor
    feat_extract_dict = {"visual_embedding_dim": 8, "location_size": 7, "global_region": "last", "max_regions": 3}
