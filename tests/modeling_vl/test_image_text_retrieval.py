"""Texts against images: all pairs, given candidates, and their losses."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from modeling_vl.losses import contrastive_loss
from modeling_vl.retrieval import score_pairs
from tests.tiny_models import tiny_inputs, tiny_model
from tests.tiny_tasks import MODELS, TEXT_INPUTS, both, task_class, task_model

TASK = "ImageTextRetrieval"


def texts_and_images(num_texts=5, num_images=3):
    batches = [tiny_inputs(seed=seed) for seed in range(2)]
    inputs = {name: torch.cat([batch[name] for batch in batches]) for name in batches[0]}
    return {name: x[:num_texts] if name in TEXT_INPUTS else x[-num_images:] for name, x in inputs.items()}


def pair(inputs, text, image):
    rows = {name: text if name in TEXT_INPUTS else image for name in inputs}
    return {name: x[rows[name] : rows[name] + 1] for name, x in inputs.items()}


@torch.no_grad()
@both
@pytest.mark.parametrize("head", ["alignment", "score"])
@pytest.mark.parametrize("packed", [True, False])
def test_all_pairs_score_as_they_would_alone(model, head, packed):
    tiny, inputs = task_model(model, TASK, retrieval_head=head, packed_execution=packed), texts_and_images()
    logits = tiny(**inputs).logits
    assert logits.shape == (5, 3) and logits.std() > 0.01
    for text in range(5):
        for image in range(3):
            alone = tiny(**pair(inputs, text, image)).logits
            torch.testing.assert_close(alone, logits[text, image].view(1, 1), atol=1e-5, rtol=0)


@torch.no_grad()
@both
def test_the_alignment_head_says_the_log_odds_of_pretraining(model, tmp_path):
    pretrained = tiny_model(task_class(model, "PreTraining"))
    pretrained.save_pretrained(tmp_path)
    tuned = task_class(model, TASK).from_pretrained(tmp_path)
    inputs = tiny_inputs()
    logits = pretrained(**inputs).seq_relationship_logits
    expected = logits.softmax(-1)[:, 0].logit()  # column 0 is the match
    torch.testing.assert_close(tuned(**inputs).logits.diagonal(), expected, atol=1e-5, rtol=0)


@torch.no_grad()
@both
def test_candidates_are_rows_of_the_full_matrix(model):
    tiny, inputs = task_model(model, TASK), texts_and_images()
    candidates = torch.tensor([[[0, 0], [4, 0], [0, 2], [3, 1]], [[2, 1], [0, 1], [2, 0], [1, 1]]])
    output = tiny(**inputs, pair_index=candidates, labels=torch.tensor([0, 2]))
    expected = tiny(**inputs).logits[candidates[..., 0], candidates[..., 1]]
    torch.testing.assert_close(output.logits, expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(output.loss, F.cross_entropy(expected, torch.tensor([0, 2])))
    skipped = tiny(**inputs, pair_index=candidates, labels=torch.tensor([-100, 2])).loss
    torch.testing.assert_close(skipped, F.cross_entropy(expected[1:], torch.tensor([2])))


@torch.no_grad()
@both
def test_links_of_words_and_regions_belong_to_a_pair(model):
    tiny, inputs = task_model(model, TASK), texts_and_images(2, 2)
    links = torch.randint(-1, 9, (4, 6, 2), generator=torch.Generator().manual_seed(0))
    logits = tiny(**inputs, image_text_alignment=links).logits
    for row, (text, image) in enumerate([(0, 0), (0, 1), (1, 0), (1, 1)]):
        alone = tiny(**pair(inputs, text, image), image_text_alignment=links[row : row + 1]).logits
        torch.testing.assert_close(alone, logits[text, image].view(1, 1), atol=1e-5, rtol=0)


@torch.no_grad()
def test_vilbert_reads_each_text_and_each_image_once_before_they_meet():
    tiny, rows = task_model("ViLBert", TASK, visual_coattention_ids=[1, 2], packed_execution=False), []
    for layers in (tiny.vilbert.encoder.text_layers, tiny.vilbert.encoder.visual_layers):
        layers[0].register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    tiny(**texts_and_images())
    assert rows == [5, 3]


@torch.no_grad()
@both
def test_in_batch_loss_looks_both_ways(model):
    tiny, inputs = task_model(model, TASK), texts_and_images(3, 3)
    output = tiny(**inputs, return_loss=True)
    diagonal = torch.arange(3)
    expected = (F.cross_entropy(output.logits, diagonal) + F.cross_entropy(output.logits.T, diagonal)) / 2
    torch.testing.assert_close(output.loss, expected)


@torch.no_grad()
@both
def test_owners_say_which_image_a_text_belongs_to(model):
    tiny, inputs = task_model(model, TASK), texts_and_images(5, 3)
    owners = torch.tensor([0, 0, 1, 2, 2])
    output = tiny(**inputs, return_loss=True, owners=owners)
    torch.testing.assert_close(output.loss, contrastive_loss(output.logits, owners))
    with pytest.raises(ValueError, match=r"5 texts and 3 images: tell by owners \[5\]"):
        tiny(**inputs, return_loss=True)


@both
@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"labels": torch.tensor([0, 1, 2])}, "they need pair_index.*return_loss=True"),
        ({"pair_index": torch.tensor([[0, 0], [1, 1]])}, r"\[examples, candidates, 2\].*got \[2, 2\]"),
        ({"pair_index": torch.tensor([[[0, 0], [5, 1]]])}, r"pair_index\[:, 0\].*the texts given.*got 5"),
        ({"pair_index": torch.tensor([[[0, 3]]])}, r"pair_index\[:, 1\].*the images given.*got 3"),
        ({"pair_index": torch.tensor([[[0, 0]]]), "labels": torch.tensor([1])}, "the candidates of a row.*got 1"),
        ({"pair_index": torch.tensor([[[0, 0]]]), "return_loss": True}, "needs labels"),
        ({"owners": torch.tensor([0, 0, 1, 2, 2])}, "owners are read for the loss of all pairs"),
        ({"owners": torch.tensor([0, 0, 1, 2, 3]), "return_loss": True}, "owners must lie between 0 and 2.*got 3"),
        ({"owners": torch.tensor([0, 1]), "return_loss": True}, r"owners must be \[5\], got \[2\]"),
        ({"visual_embeds": None}, "visual_embeds are missing: texts are scored against images"),
    ],
)
def test_what_makes_no_loss_is_refused(model, extra, message):
    with pytest.raises(ValueError, match=message):
        task_model(model, TASK)(**{**texts_and_images(), **extra})


@both
def test_predict_ranks_all_images(model):
    tiny, inputs = task_model(model, TASK), texts_and_images()
    rankings = tiny.predict(**inputs)
    for ranking, row in zip(rankings, tiny(**inputs).logits, strict=True):
        assert [one["image"] for one in ranking] == row.argsort(descending=True).tolist()
        assert [one["score"] for one in ranking] == pytest.approx(sorted(row.tolist(), reverse=True), abs=1e-6)
    assert tiny.predict(**inputs, top_k=2) == [ranking[:2] for ranking in rankings]
    with pytest.raises(ValueError, match="leave pair_index out"):
        tiny.predict(**inputs, pair_index=torch.tensor([[[0, 0]]]))


@torch.no_grad()
@pytest.mark.parametrize("head", ["alignment", "score"])
@pytest.mark.parametrize("model", MODELS)
def test_large_matrices_are_scored_in_chunks(model, head):
    tiny, inputs = task_model(model, TASK, retrieval_head=head), texts_and_images()
    texts = {name: inputs[name] for name in TEXT_INPUTS}
    images = {name: x for name, x in inputs.items() if name not in TEXT_INPUTS}
    expected = tiny(**inputs).logits
    for pairs_per_chunk in (1, 4, 100):
        scores = score_pairs(tiny, texts, images, pairs_per_chunk=pairs_per_chunk)
        torch.testing.assert_close(scores, expected, atol=1e-5, rtol=0)


@torch.no_grad()
def test_texts_that_gate_their_image_are_paired_before_they_are_read():
    tiny, inputs = task_model("ViLBert", TASK, dynamic_attention=True), texts_and_images()
    alone = tiny(**pair(inputs, 4, 1)).logits
    torch.testing.assert_close(tiny(**inputs).logits[4, 1], alone[0, 0], atol=1e-5, rtol=0)
