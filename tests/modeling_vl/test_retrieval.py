"""Every text against every image: chunks change nothing."""

from __future__ import annotations

import pytest
import torch

from modeling_vl import ViLBertForImageTextRetrieval, ViLBertForMultiTask
from modeling_vl.retrieval import score_listed_pairs, score_pairs
from tests.tiny_models import PRETRAINING_CLASSES, tiny_inputs, tiny_model

TEXT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")


def many_inputs(count: int) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """`count` texts and two images fewer, padded in different ways."""
    batches = [tiny_inputs(seed=seed) for seed in range(count)]
    inputs = {name: torch.cat([batch[name] for batch in batches])[:count] for name in batches[0]}
    texts = {name: inputs[name] for name in TEXT_INPUTS}
    images = {name: value[2:] for name, value in inputs.items() if name not in TEXT_INPUTS}
    return texts, images


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
@torch.no_grad()
def test_chunks_equal_the_full_matrix_and_single_pairs(model_class: type, packed: bool) -> None:
    model = tiny_model(model_class, packed_execution=packed)
    texts, images = many_inputs(7)
    expected = torch.empty(7, 5)
    for i in range(7):
        for j in range(5):
            pair = {name: value[i : i + 1] for name, value in texts.items()}
            pair |= {name: value[j : j + 1] for name, value in images.items()}
            probabilities = model(**pair).seq_relationship_logits.double().softmax(-1)
            expected[i, j] = (probabilities[0, 0] / probabilities[0, 1]).log()
    assert expected.std() > 0.01  # the pairs differ, or the comparison would show nothing
    for pairs_per_chunk in (1, 4, 11, 35, 1000):
        scores = score_pairs(model, texts, images, pairs_per_chunk=pairs_per_chunk)
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_texts_that_gate_their_image_are_scored_one_at_a_time() -> None:
    model = tiny_model(PRETRAINING_CLASSES[0], dynamic_attention=True)
    texts, images = many_inputs(4)
    scores = score_pairs(model, texts, images, pairs_per_chunk=3)
    pair = {name: value[3:4] for name, value in texts.items()} | {name: value[1:2] for name, value in images.items()}
    logits = model(**pair).seq_relationship_logits[0]
    torch.testing.assert_close(scores[3, 1], logits[0] - logits[1], atol=1e-5, rtol=0)


@torch.no_grad()
def test_an_image_without_a_visible_region_is_scored_as_it_is_given() -> None:
    model = tiny_model(PRETRAINING_CLASSES[0])
    texts, images = many_inputs(4)
    images["visual_attention_mask"][1] = 0
    scores = score_pairs(model, texts, images, pairs_per_chunk=1)
    pair = {name: value[3:4] for name, value in texts.items()} | {name: value[1:2] for name, value in images.items()}
    logits = model(**pair).seq_relationship_logits[0]
    torch.testing.assert_close(scores[3, 1], logits[0] - logits[1], atol=1e-5, rtol=0)


def test_the_model_is_left_in_its_mode() -> None:
    model = tiny_model(PRETRAINING_CLASSES[1]).train()
    texts, images = many_inputs(4)
    score_pairs(model, texts, images)
    assert model.training


def test_a_chunk_holds_at_least_one_pair() -> None:
    texts, images = many_inputs(4)
    with pytest.raises(ValueError, match="pairs_per_chunk must be at least 1, got 0"):
        score_pairs(tiny_model(PRETRAINING_CLASSES[0]), texts, images, pairs_per_chunk=0)


def test_the_model_is_left_in_its_mode_by_inputs_that_do_not_fit() -> None:
    model = tiny_model(PRETRAINING_CLASSES[0]).train()
    texts, images = many_inputs(4)
    images["visual_embeds"] = images["visual_embeds"][..., 1:]
    with pytest.raises(ValueError, match="visual_embedding_dim"):
        score_pairs(model, texts, images)
    assert model.training


@pytest.mark.parametrize("side", [0, 1])
def test_nothing_to_score_is_refused(side: int) -> None:
    inputs = list(many_inputs(4))
    inputs[side] = {name: value[:0] for name, value in inputs[side].items()}
    with pytest.raises(ValueError, match="nothing to score: (0 texts and 2|4 texts and 0) images"):
        score_pairs(tiny_model(PRETRAINING_CLASSES[0]), *inputs)


def test_a_model_without_an_alignment_head_is_refused() -> None:
    with pytest.raises(TypeError, match="ViLBertModel has not"):
        score_pairs(tiny_model(PRETRAINING_CLASSES[0]).vilbert, *many_inputs(4))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("model_class", [*PRETRAINING_CLASSES, ViLBertForImageTextRetrieval])
def test_listed_pairs_get_the_scores_of_the_matrix(model_class: type, dynamic: bool) -> None:
    model = tiny_model(
        model_class, **({"dynamic_attention": True} if dynamic and "ViL" in model_class.__name__ else {})
    )
    texts, images = many_inputs(6)
    matrix = score_pairs(model, texts, images)
    pairs = torch.tensor([[0, 3], [0, 1], [2, 0], [4, 3], [4, 2], [4, 0], [5, 1]])
    for size in (1, 3, 100):
        scores = score_listed_pairs(model, texts, images, pairs, pairs_per_chunk=size)
        torch.testing.assert_close(scores, matrix[pairs[:, 0], pairs[:, 1]], atol=1e-5, rtol=0)


def test_chunks_hold_texts_and_images_of_similar_lengths() -> None:
    model = tiny_model(PRETRAINING_CLASSES[0])
    texts, images = many_inputs(7)
    shapes = []
    model.register_forward_pre_hook(
        lambda _, args, inputs: shapes.append((inputs["input_ids"].shape, inputs["visual_embeds"].shape[:2])),
        with_kwargs=True,
    )
    score_pairs(model, texts, images, pairs_per_chunk=4)
    longest = texts["attention_mask"].sum(1).sort().values
    assert shapes[0][0] == (2, int(longest[1])) and shapes[-1][0][1] == int(longest[-1])
    places = sum(text.numel() for text, _ in shapes)
    assert places < len(shapes) * 2 * texts["input_ids"].shape[1]


@torch.no_grad()
@pytest.mark.parametrize("fields", [{"num_task_tokens": 4}, {"num_task_tokens": 4, "dynamic_attention": True}])
def test_a_task_of_several_scores_with_its_head_and_its_token(fields: dict[str, object]) -> None:
    heads = {"captions": {"kind": "retrieval"}, "names": {"kind": "retrieval"}, "true": {"kind": "classification"}}
    model = tiny_model(ViLBertForMultiTask, multi_task_heads=heads, **fields)
    texts, images = many_inputs(5)
    expected = {task: model(**texts, **images, task=task).logits for task in ("captions", "names")}
    assert (expected["captions"] - expected["names"]).abs().min() > 1e-5
    for task, logits in expected.items():
        scores = score_pairs(model, texts, images, pairs_per_chunk=4, task=task)
        torch.testing.assert_close(scores, logits, atol=1e-5, rtol=0)
        listed = score_listed_pairs(model, texts, images, torch.tensor([[4, 1], [0, 2]]), task=task)
        torch.testing.assert_close(listed, logits[[4, 0], [1, 2]], atol=1e-5, rtol=0)
    for task in (None, "true"):
        with pytest.raises(ValueError, match=r"one that scores pairs, of ViLBertForMultiTask \['captions', 'names'\]"):
            score_pairs(model, texts, images, task=task)
    with pytest.raises(ValueError, match="ViLBertForImageTextRetrieval none does; got 'captions'"):
        score_pairs(tiny_model(ViLBertForImageTextRetrieval), texts, images, task="captions")
