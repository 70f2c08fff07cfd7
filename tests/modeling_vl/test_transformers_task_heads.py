"""Task heads of transformers' own VisualBERT load here, ours load there, and both compute the same."""

from __future__ import annotations

import pytest
import torch
import transformers

import modeling_vl
from configuration_vl import VisualBertConfig

SIZES = {
    "vocab_size": 90,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 16,
    "visual_embedding_dim": 10,
    "num_labels": 5,
}
PAIRS = {
    "VisualBertForQuestionAnswering": "VisualBertForVisualQuestionAnswering",
    "VisualBertForMultipleChoice": "VisualBertForMultipleChoice",
    "VisualBertForVisualReasoning": "VisualBertForSequenceClassification",
    "VisualBertForRegionToPhraseAlignment": "VisualBertForPhraseGrounding",
}
every_head = pytest.mark.parametrize(("theirs", "ours"), PAIRS.items(), ids=PAIRS)
THEIRS_ALONE = ("cls.", "attention.value.")
"""Weights of their grounding model that take no part in its scores."""


def inputs_and_labels(name):
    generator = torch.Generator().manual_seed(5)
    shape = (3, 4) if "MultipleChoice" in name else (3,)
    inputs = {
        "input_ids": torch.randint(2, 90, (*shape, 7), generator=generator),
        "token_type_ids": torch.randint(0, 2, (*shape, 7), generator=generator),
        "attention_mask": torch.ones(*shape, 7, dtype=torch.long),
        "visual_embeds": torch.randn(*shape, 6, 10, generator=generator),
        "visual_attention_mask": torch.ones(*shape, 6, dtype=torch.long),
        "visual_token_type_ids": torch.randint(0, 2, (*shape, 6), generator=generator),
    }
    inputs["attention_mask"][1, ..., 5:] = 0
    inputs["visual_attention_mask"][2, ..., 3:] = 0
    if "QuestionAnswering" in name:
        return inputs, torch.rand(3, 5, generator=generator)
    if "Region" in name:
        labels = torch.rand(3, 2, 6, generator=generator) * inputs["visual_attention_mask"][:, None]
        return inputs, labels / labels.sum(-1, keepdim=True)
    return inputs, torch.tensor([3, 0, 1])


def randomise(model):
    generator = torch.Generator().manual_seed(1)
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.3, generator=generator)
    return model.eval()


def assert_same_numbers(their_model, our_model, name):
    inputs, labels = inputs_and_labels(name)
    theirs, ours = dict(inputs), dict(inputs)
    if "Region" in name:
        theirs["region_to_phrase_position"] = ours["phrase_positions"] = torch.tensor([[1, 6], [2, 4], [3, 0]])
    with torch.no_grad():
        expected, found = their_model(**theirs).logits, our_model(**ours).logits
        real = expected > -1e30
        torch.testing.assert_close(found[real], expected[real], atol=1e-5, rtol=0)
        assert (found[~real] < -1e30).all() and found[real].std() > 1e-3
        losses = [model(**batch, labels=labels).loss for model, batch in ((their_model, theirs), (our_model, ours))]
        torch.testing.assert_close(losses[1], losses[0], atol=1e-5, rtol=0)
        # The names differ, the values must not: logits that change with labels are theirs alone.
        torch.testing.assert_close(our_model(**ours, labels=labels).logits, found, atol=0, rtol=0)


@every_head
def test_theirs_to_ours(theirs, ours, tmp_path):
    their_model = randomise(getattr(transformers, theirs)(transformers.VisualBertConfig(**SIZES)))
    their_model.save_pretrained(tmp_path)
    our_model, info = getattr(modeling_vl, ours).from_pretrained(tmp_path, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"] and not info["mismatched_keys"]
    assert_same_numbers(their_model, our_model.eval(), theirs)


@every_head
def test_ours_to_theirs(theirs, ours, tmp_path):
    our_model = randomise(getattr(modeling_vl, ours)(VisualBertConfig(**SIZES)))
    our_model.save_pretrained(tmp_path)
    their_model, info = getattr(transformers, theirs).from_pretrained(tmp_path, output_loading_info=True)
    missing = set(info["missing_keys"])
    assert not info["unexpected_keys"] and all(name.startswith(THEIRS_ALONE) for name in missing)
    assert bool(missing) == ("Region" in theirs)
    assert_same_numbers(their_model.eval(), our_model, theirs)


def test_regions_linked_to_words_give_the_same_choice_scores(tmp_path):
    """Theirs takes the links only flattened, and then one row a choice."""
    theirs = randomise(transformers.VisualBertForMultipleChoice(transformers.VisualBertConfig(**SIZES)))
    theirs.save_pretrained(tmp_path)
    ours = modeling_vl.VisualBertForMultipleChoice.from_pretrained(tmp_path).eval()
    inputs, _ = inputs_and_labels("MultipleChoice")
    links = torch.randint(-1, 7, (3, 4, 6, 2), generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        expected = theirs(**inputs, image_text_alignment=links.flatten(0, 1)).logits
        found = ours(**inputs, image_text_alignment=links).logits
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
