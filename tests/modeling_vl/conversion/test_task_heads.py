"""A fine-tuned checkpoint becomes the class of its task; heads that were not asked for are dropped by name."""

from __future__ import annotations

import pytest
import torch

from modeling_vl.conversion import CODE_BASES, ConversionError
from tests.modeling_vl.conversion.small_checkpoints import FINE_TUNED, checkpoint, code_base_name, convert_small

CONVERSIONS = [
    ("vilbert_beta_base", "vqa", None, "VisualBertForVisualQuestionAnswering"),
    ("vilbert_beta_base", "vcr", None, "VisualBertForMultipleChoice"),
    ("vilbert_beta_base", "retrieval", None, "VisualBertForImageTextRetrieval"),
    ("vilbert_beta_base", "referring_expressions", None, "VisualBertForRegionGrounding"),
    ("vilbert_beta_base", "masked_lm", None, "VisualBertForMaskedLM"),
    ("vilbert_multi_task", "vqa", None, "ViLBertForVisualQuestionAnswering"),
    ("vilbert_multi_task", "gqa", None, "ViLBertForVisualQuestionAnswering"),
    ("vilbert_multi_task", "nlvr2", None, "ViLBertForSequenceClassification"),
    ("vilbert_multi_task", "snli_ve", None, "ViLBertForSequenceClassification"),
    ("vilbert_multi_task", "vcr", None, "ViLBertForMultipleChoice"),
    ("vilbert_multi_task", "retrieval", None, "ViLBertForImageTextRetrieval"),
    ("vilbert_multi_task", "referring_expressions", None, "ViLBertForRegionGrounding"),
    ("vilbert_multi_task", "masked_lm", None, "ViLBertForMaskedLM"),
    ("vilbert_multi_task", "multi_task", None, "ViLBertForMultiTask"),
    ("volta_visualbert", "vqa", "TASK1", "VisualBertForVisualQuestionAnswering"),
    ("volta_visualbert", "nlvr2", "TASK12", "VisualBertForSequenceClassification"),
    ("volta_visualbert", "referring_expressions", "TASK18", "VisualBertForRegionGrounding"),
    ("mmf_visualbert", "nlvr2", None, "VisualBertForSequenceClassification"),
    ("uclanlp", "phrase_grounding", None, "VisualBertForPhraseGrounding"),
    ("uclanlp", "masked_lm", None, "VisualBertForMaskedLM"),
    ("transformers", "phrase_grounding", None, "VisualBertForPhraseGrounding"),
]


def convert_fine_tuned(kind, task, entry=None, **options):
    return convert_small(kind, *checkpoint(kind, FINE_TUNED), task=task, entry=entry, **options)


@pytest.mark.parametrize(("kind", "task", "entry", "expected"), CONVERSIONS)
def test_every_name_is_accounted_for_once(kind, task, entry, expected):
    config, state = checkpoint(kind, FINE_TUNED)
    norms = sum(name.endswith("weight_g") for name in state)
    report = convert_small(kind, config, state, task=task, entry=entry).report
    assert report.architecture == expected
    assert report.complete
    assert len(report.renamed) + len(report.dropped) == len(state) - norms
    assert len(set(report.renamed.values())) == len(report.renamed)
    assert all(report.dropped.values())


@pytest.mark.parametrize("kind", FINE_TUNED)
def test_without_a_task_no_task_head_is_kept(kind):
    report = convert_fine_tuned(kind, None).report
    assert report.architecture.endswith(("ForPreTraining", "Model"))
    reasons = [reason for reason in report.dropped.values() if "not asked for" in reason]
    assert reasons
    assert all("convert with" in reason for reason in reasons)


def test_heads_that_were_not_asked_for_are_dropped_with_what_to_ask_for():
    dropped = convert_fine_tuned("vilbert_multi_task", "vqa").report.dropped
    asked = "a task head that was not asked for: convert with task "
    assert dropped["vil_prediction_gqa.logit_fc.0.bias"] == f"{asked}gqa to keep it"
    assert dropped["vil_binary_prediction.logit_fc.3.weight"] == f"{asked}nlvr2 to keep it"
    assert dropped["vil_logit.weight"] == f"{asked}vcr or retrieval to keep it"
    assert "no task of the code base reads" in dropped["linguisic_logit.weight"]
    assert dropped["cls.predictions.bias"] == "a pre-training head, which ViLBertForVisualQuestionAnswering has not"
    dropped = convert_fine_tuned("volta_visualbert", "vqa", "TASK1").report.dropped
    assert "entry TASK18 to keep it" in dropped["clfs_dict.TASK18.0.weight"]
    assert not any(name.startswith("clfs_dict.TASK1.") for name in dropped)
    dropped = convert_fine_tuned("transformers", "phrase_grounding").report.dropped
    assert dropped["attention.value.weight"] == "the original builds it and never uses it"


def test_config_fields_follow_the_code_base_and_the_weights():
    beta = convert_fine_tuned("vilbert_beta_base", "vqa").config
    assert (beta.classifier_act, beta.classifier_layer_norm, beta.classifier_dropout_prob) == ("relu", False, 0.5)
    assert (beta.answer_position, beta.answer_loss, beta.head_dropout_prob) == ("pooled", "bce", 0.1)
    _, state = checkpoint("vilbert_beta_base", FINE_TUNED)
    hidden, answers = len(state["vil_prediction.main.0.bias"]), len(state["vil_prediction.main.3.bias"])
    assert (beta.classifier_hidden_size, beta.num_labels) == (hidden, answers)

    pairs = convert_fine_tuned("vilbert_multi_task", "nlvr2").config
    assert (pairs.num_images, pairs.image_pair_method) == (2, "pooled")
    assert pairs.id2label == {0: "False", 1: "True"}
    entailment = convert_fine_tuned("vilbert_multi_task", "snli_ve").config
    assert (entailment.classifier_hidden_size, entailment.num_labels) == (0, 3)
    assert entailment.label2id == {"contradiction": 0, "neutral": 1, "entailment": 2}
    assert convert_fine_tuned("vilbert_multi_task", "retrieval").config.retrieval_head == "score"

    config, state = checkpoint("mmf_visualbert", FINE_TUNED)
    mmf = convert_small("mmf_visualbert", config, state, task="nlvr2").config
    assert mmf.classifier_act == config["hidden_act"]
    assert mmf.classifier_hidden_size == 2 * mmf.pooler_size

    config, state = checkpoint("uclanlp", FINE_TUNED)
    phrases = convert_small("uclanlp", config, state, task="phrase_grounding").config
    assert phrases.phrase_attention_size == len(state["bert.flickr_attention.query.bias"])

    config, state = checkpoint("volta_visualbert", FINE_TUNED)
    config["v_attention_probs_dropout_prob"] = 0.3
    regions = convert_small("volta_visualbert", config, state, task="referring_expressions", entry="TASK18").config
    assert regions.region_classifier_hidden_size == len(state["clfs_dict.TASK18.0.bias"])
    assert (regions.classifier_layer_norm, regions.classifier_dropout_prob) == (False, 0.3)
    one_layer = convert_fine_tuned("volta_visualbert", "referring_expressions", "TASK10").config
    assert one_layer.region_classifier_hidden_size == 0


@pytest.mark.parametrize(("strategy", "place"), [("vqa", "mask"), ("default", "pooled")])
def test_mmf_says_where_a_question_is_answered_from(strategy, place):
    config, state = checkpoint("mmf_visualbert", FINE_TUNED)
    width = config["hidden_size"]
    for name, shape in (
        ("0.dense.weight", (width, width)),
        ("0.dense.bias", width),
        ("0.LayerNorm.weight", width),
        ("0.LayerNorm.bias", width),
        ("1.weight", (5, width)),
        ("1.bias", 5),
    ):
        state[f"model.classifier.{name}"] = torch.ones(shape)
    conversion = convert_small("mmf_visualbert", {**config, "pooler_strategy": strategy}, state, task="vqa")
    assert (conversion.config.answer_position, conversion.config.answer_loss) == (place, "bce")
    assert "pooler_strategy" not in conversion.report.unused_config


def test_the_tasks_of_12_in_1():
    config = convert_fine_tuned("vilbert_multi_task", "multi_task").config
    tasks = config.multi_task_heads
    numbers = {name: task["task_id"] for name, task in tasks.items()}
    assert numbers == {
        "vqa": 1,
        "genome_qa": 2,
        "visual7w": 4,
        "retrieval_coco": 7,
        "retrieval_flickr30k": 8,
        "refcoco": 9,
        "refcoco_plus": 10,
        "refcocog": 11,
        "nlvr2": 12,
        "snli_ve": 13,
        "gqa": 15,
        "guesswhat_pointing": 17,
    }
    assert {name: task["head"] for name, task in tasks.items() if "head" in task} == {
        "genome_qa": "vqa",
        "visual7w": "refcoco",
        "retrieval_flickr30k": "retrieval_coco",
        "refcoco_plus": "refcoco",
        "refcocog": "refcoco",
        "guesswhat_pointing": "refcoco",
    }
    assert (tasks["nlvr2"]["num_images"], tasks["snli_ve"]["num_labels"]) == (2, 3)
    assert tasks["vqa"]["classifier_hidden_size"] == 2 * config.pooler_size


def test_names_of_answers():
    state = checkpoint("vilbert_multi_task", FINE_TUNED)[1]
    answers = [f"answer {number}" for number in range(len(state["vil_prediction.logit_fc.3.bias"]))]
    config = convert_fine_tuned("vilbert_multi_task", "vqa", labels=answers).config
    assert config.id2label == dict(enumerate(answers))
    assert config.label2id["answer 3"] == 3
    with pytest.raises(ValueError, match=rf"2 labels are given, but the head has {len(answers)} rows"):
        convert_fine_tuned("vilbert_multi_task", "vqa", labels=["yes", "no"])
    with pytest.raises(ValueError, match="no head with a label a row"):
        convert_fine_tuned("vilbert_multi_task", "retrieval", labels=["yes", "no"])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"0": "wrong", "1": "right"}, {0: "wrong", 1: "right"}),
        ({"0": "LABEL_0", "1": "LABEL_1"}, {0: "False", 1: "True"}),
        (None, {0: "False", 1: "True"}),
    ],
)
def test_a_folder_of_transformers_keeps_the_names_of_its_labels(written, expected):
    config, state = checkpoint("transformers", FINE_TUNED)
    state |= {"cls.weight": torch.ones(2, config["hidden_size"]), "cls.bias": torch.ones(2)}
    conversion = convert_small("transformers", {**config, "id2label": written}, state, task="nlvr2")
    assert conversion.config.id2label == expected
    assert conversion.config.label2id == {name: number for number, name in expected.items()}
    assert "id2label" not in conversion.report.unused_config


@pytest.mark.parametrize("options", [{"labels": ["yes", "no"]}, {"entry": "TASK1"}])
def test_options_of_a_head_without_a_task(options):
    with pytest.raises(ValueError, match="belong to a task's head, but no task is given"):
        convert_small("volta_visualbert", *checkpoint("volta_visualbert", FINE_TUNED), **options)


def test_a_classifier_of_other_classes_keeps_their_number_and_forgets_our_names():
    config, state = checkpoint("vilbert_multi_task", FINE_TUNED)
    for name in ("weight", "bias"):
        state[f"vil_tri_prediction.{name}"] = state[f"vil_tri_prediction.{name}"].repeat_interleave(2, 0)
    converted = convert_small("vilbert_multi_task", config, state, task="snli_ve").config
    assert converted.num_labels == 6
    assert "contradiction" not in converted.label2id


@pytest.mark.parametrize(
    ("kind", "task", "entry", "message"),
    [
        ("uclanlp", "gqa", None, r"uclanlp/visualbert has no head for task 'gqa'; its tasks are vqa, nlvr2, vcr"),
        ("uclanlp", "vqa", None, r"the checkpoint has no head for task 'vqa'; it has heads for phrase_grounding"),
        ("uclanlp", "phrase_grounding", "x", r"one place for the head of task 'phrase_grounding'; no entry 'x'"),
        ("volta_visualbert", "vqa", None, r"holds the heads TASK1, TASK10, .*; name the one to keep"),
        ("volta_visualbert", "vqa", "TASK2", r"holds the heads TASK1, TASK10, .*; there is no TASK2"),
    ],
)
def test_heads_that_are_not_there(kind, task, entry, message):
    with pytest.raises(ValueError, match=message):
        convert_fine_tuned(kind, task, entry)


def test_a_single_entry_needs_no_name():
    config, state = checkpoint("volta_visualbert", FINE_TUNED)
    others = [name for name in state if name.startswith("clfs_dict.") and not name.startswith("clfs_dict.TASK8.")]
    for name in others:
        del state[name]
    report = convert_small("volta_visualbert", config, state, task="vcr").report
    assert report.renamed["clfs_dict.TASK8.weight"] == "cls.weight"


def test_a_head_of_another_form_is_an_error_that_names_it():
    with pytest.raises(ConversionError, match=r"names are unexpected: clfs_dict\.TASK8\.bias") as error:
        convert_fine_tuned("volta_visualbert", "vqa", "TASK8")
    assert not any(name.startswith("clfs_dict.TASK8.") for name in error.value.report.dropped)
    with pytest.raises(ConversionError, match=r"missing: cls\.weight"):
        convert_fine_tuned("volta_visualbert", "vcr", "TASK1")


def test_weights_that_the_single_stream_baseline_has_not_are_zeros():
    conversion = convert_fine_tuned("vilbert_beta_base", "vqa")
    name = "visual_bert.embeddings.visual_position_embeddings.weight"
    assert not conversion.state[name].any()
    assert "gives regions no position" in conversion.report.filled[name]
    assert f"zeros       {name}: " in str(conversion.report)


@pytest.mark.parametrize("kind", FINE_TUNED)
def test_tasks_have_one_name_each(kind):
    tasks = CODE_BASES[code_base_name(kind)].tasks
    assert len(set(tasks)) == len(tasks)
