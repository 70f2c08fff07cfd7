"""transformers' tests of models and configs, on every class of both models."""

from __future__ import annotations

import copy
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from transformers.models.auto import modeling_auto
from transformers.utils import logging

import modeling_vl
from configuration_vl import ViLBertConfig, VisualBertConfig
from tests.integration.transformers_suite.model_testers import ModelTester, classes_of
from tests.integration.transformers_suite.upstream import module_or_skip

common = module_or_skip("test_modeling_common")
config_common = module_or_skip("test_configuration_common")


class CommonModelTests(common.ModelTesterMixin):
    """What the tests must know of our classes."""

    model: str
    config_class: type
    additional_model_inputs = ["token_type_ids", "visual_embeds", "visual_locations", "visual_attention_mask"]
    # Asked of models added before 2023, which a file without a year in its first lines counts as.
    test_can_init_all_missing_weights_before_2023 = True
    # Not every head reads both poolers and the last layers of both streams. Which parameters a loss reaches is tested
    # one by one in tests/modeling_vl/test_task_models.py.
    test_all_params_have_gradient = False

    def setUp(self) -> None:
        self.model_tester = ModelTester(self.model)
        # Lists by which the tests tell classes without a loss, and those that classify.
        for names, suffix in (
            (modeling_auto.MODEL_MAPPING_NAMES, "Model"),
            (modeling_auto.MODEL_FOR_SEQUENCE_CLASSIFICATION_MAPPING_NAMES, "ForSequenceClassification"),
        ):
            patched = patch.dict(names, {self.config_class.model_type: f"{self.model}{suffix}"})
            patched.start()
            self.addCleanup(patched.stop)
        # The tests write out every parameter in messages nobody reads, and load hundreds of models.
        torch.set_printoptions(threshold=0, edgeitems=1)
        self.addCleanup(torch.set_printoptions, profile="default")
        logging.disable_progress_bar()
        self.addCleanup(logging.enable_progress_bar)

    @contextmanager
    def subTest(self, *arguments: Any, **parameters: Any) -> Iterator[None]:
        """Report only what fails: thousands of reports take longer than the tests. A skipped part skips the test.

        pytest counts a test as passed when all its sub-tests are skipped.
        """
        try:
            yield
        except unittest.SkipTest:
            raise
        except Exception:
            with super().subTest(*arguments, **parameters):
                raise

    def _prepare_for_class(
        self, inputs_dict: dict[str, Any], model_class: type, return_labels: bool = False
    ) -> dict[str, Any]:
        inputs = self.model_tester.inputs_of(model_class, copy.deepcopy(inputs_dict))
        return {**inputs, **self.model_tester.labels_of(model_class)} if return_labels else inputs

    def test_config(self) -> None:
        config_common.ConfigTester(self, self.config_class, **self.model_tester.config_fields()).run_common_tests()

    def test_can_load_ignoring_mismatched_shapes(self) -> None:
        # The test looks for a linear layer among the model's own children.
        self.model_tester = ModelTester(self.model, classifier_hidden_size=0)
        super().test_can_load_ignoring_mismatched_shapes()

    def test_problem_types(self) -> None:
        self.skipTest("no problem_type")


class ViLBertTest(CommonModelTests, unittest.TestCase):
    """ViLBERT."""

    model, config_class, all_model_classes = "ViLBert", ViLBertConfig, classes_of("ViLBert")

    def test_load_with_mismatched_shapes(self) -> None:
        self.skipTest("reads a text without an image")


class VisualBertTest(CommonModelTests, unittest.TestCase):
    """VisualBERT."""

    model, config_class, all_model_classes = "VisualBert", VisualBertConfig, classes_of("VisualBert")


def test_no_class_is_left_out() -> None:
    tested = {model_class.__name__ for model_class in classes_of("ViLBert") + classes_of("VisualBert")}
    models = [name for name in modeling_vl.__all__ if name.startswith(("ViLBert", "VisualBert"))]
    assert tested == {name for name in models if not name.endswith("Config")}
