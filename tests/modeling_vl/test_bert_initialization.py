"""Starting from a real BERT."""

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BertForMaskedLM,
    BertForPreTraining,
    BertForSequenceClassification,
    BertModel,
)

from configuration_vl import ViLBertConfig, VisualBertConfig
from modeling_vl import ViLBertForPreTraining, ViLBertModel, VisualBertForPreTraining, VisualBertModel
from tests.minilm import minilm_folder, tokenizer
from tests.tiny_models import tiny_model, vilbert_config, visualbert_config

MINILM = {"hidden_size": 384, "num_attention_heads": 12, "intermediate_size": 1536, "visual_embedding_dim": 16}
STREAM = {
    "visual_hidden_size": 32,
    "visual_num_hidden_layers": 2,
    "visual_num_attention_heads": 2,
    "visual_intermediate_size": 32,
    "coattention_hidden_size": 32,
    "coattention_num_attention_heads": 2,
}


@pytest.fixture(scope="module")
def bert():
    return AutoModel.from_pretrained(minilm_folder(), attn_implementation="sdpa").eval()


@pytest.fixture(scope="module")
def text():
    return tokenizer()(["two dogs play in the snow", "a man rides"], padding=True, return_tensors="pt")


def test_visualbert_reads_text_exactly_as_the_bert_it_started_from(bert, text):
    model, report = VisualBertModel.from_bert(minilm_folder(), VisualBertConfig(**MINILM, num_hidden_layers=6))
    with torch.no_grad():
        ours, theirs = model.eval()(**text), bert(**text)
    real = text["attention_mask"].bool()
    torch.testing.assert_close(ours.last_hidden_state[real], theirs.last_hidden_state[real], rtol=0, atol=1e-5)
    torch.testing.assert_close(ours.pooler_output, theirs.pooler_output, rtol=0, atol=1e-5)
    assert report.not_copied == []
    assert sorted(report.fresh) == ["embeddings.visual_projection.bias", "embeddings.visual_projection.weight"]
    visual = model.embeddings.visual_position_embeddings.weight
    assert torch.equal(visual, bert.embeddings.position_embeddings.weight)


def test_the_visual_tables_stay_fresh_when_not_asked_for(bert):
    model, report = VisualBertModel.from_bert(
        minilm_folder(), VisualBertConfig(**MINILM, num_hidden_layers=1), visual_tables=False
    )
    assert "embeddings.visual_position_embeddings.weight" in report.fresh
    assert not torch.equal(
        model.embeddings.visual_position_embeddings.weight, bert.embeddings.position_embeddings.weight
    )


def test_vilberts_text_layers_are_the_berts(bert, text):
    config = ViLBertConfig(
        **MINILM, **STREAM, num_hidden_layers=6, text_coattention_ids=[4, 5], visual_coattention_ids=[0, 1]
    )
    model, report = ViLBertModel.from_bert(minilm_folder(), config)
    image = {"visual_embeds": torch.randn(2, 3, 16), "visual_locations": torch.rand(2, 3, 5)}
    with torch.no_grad():
        ours = model.eval()(**text, **image, output_hidden_states=True)
        theirs = bert(**text, output_hidden_states=True)
    real = text["attention_mask"].bool()
    for layer in range(5):
        torch.testing.assert_close(
            ours.hidden_states[layer][real], theirs.hidden_states[layer][real], rtol=0, atol=1e-5
        )
    assert report.not_copied == ["pooler.dense.weight", "pooler.dense.bias"]
    assert all(not name.startswith(("text_embeddings", "encoder.text_layers")) for name in report.fresh)
    assert len(report.copied) == 5 + 6 * 16


def test_fewer_layers_than_the_bert_are_reported():
    _, report = VisualBertModel.from_bert(minilm_folder(), VisualBertConfig(**MINILM, num_hidden_layers=2))
    assert len(report.not_copied) == 4 * 16
    assert all(
        name.startswith(("encoder.layer.2", "encoder.layer.3", "encoder.layer.4", "encoder.layer.5"))
        for name in report.not_copied
    )


def test_another_width_names_both_shapes():
    with pytest.raises(ValueError, match=r"\[30522, 768\].*\[30522, 384\]"):
        VisualBertModel.from_bert(minilm_folder(), VisualBertConfig(num_hidden_layers=1))


def test_another_kind_of_model_is_refused(tmp_path):
    tiny_model(VisualBertModel).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'visualbert' model; from_bert reads 'bert'"):
        VisualBertModel.from_bert(tmp_path, VisualBertConfig(num_hidden_layers=1))


def save_small_bert(folder, model_class, **fields):
    """A BERT of the sizes of `tests.tiny_models`, its zero biases replaced."""
    sizes = {"vocab_size": 99, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    config = BertConfig(**{**sizes, "intermediate_size": 40, "max_position_embeddings": 24, **fields})
    bert = model_class(config)
    with torch.no_grad():
        for parameter in bert.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    bert.save_pretrained(folder)
    return bert.eval()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 8}, r"num_attention_heads \(4 in the config, 8 in the BERT\)"),
        ({"hidden_act": "relu"}, r"hidden_act \(gelu in the config, relu in the BERT\)"),
        ({"layer_norm_eps": 1e-5}, r"layer_norm_eps \(1e-12 in the config, 1e-05 in the BERT\)"),
    ],
)
def test_a_bert_that_computes_in_another_way_is_refused(fields, message, tmp_path):
    save_small_bert(tmp_path, BertModel, **fields)
    for model_class, config in ((VisualBertModel, visualbert_config()), (ViLBertModel, vilbert_config())):
        with pytest.raises(ValueError, match=message):
            model_class.from_bert(tmp_path, config)


HEAD = [
    "cls.predictions.bias",
    *(f"cls.predictions.transform.{part}.{kind}" for part in ("dense", "LayerNorm") for kind in ("weight", "bias")),
]
POOLER = ["pooler.dense.weight", "pooler.dense.bias"]


def test_a_pooler_that_the_checkpoint_does_not_hold_is_fresh(tmp_path):
    save_small_bert(tmp_path, BertForMaskedLM)
    _, report = VisualBertModel.from_bert(tmp_path, visualbert_config())
    assert set(POOLER) <= set(report.fresh) and not set(POOLER) & set(report.copied)
    assert report.not_copied == HEAD


def test_what_no_bert_has_is_not_copied(tmp_path):
    save_small_bert(tmp_path, BertForSequenceClassification)
    _, report = VisualBertModel.from_bert(tmp_path, visualbert_config())
    assert report.not_copied == ["classifier.bias", "classifier.weight"]
    assert set(POOLER) <= set(report.copied)


def test_pre_training_models_take_the_head_for_masked_words_along(tmp_path, text):
    bert = save_small_bert(tmp_path, BertForPreTraining)
    ids = text["input_ids"] % 99
    model, report = VisualBertForPreTraining.from_bert(tmp_path, visualbert_config())
    with torch.no_grad():
        ours, theirs = model.eval()(ids).prediction_logits, bert(ids).prediction_logits
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert report.not_copied == ["cls.seq_relationship.weight", "cls.seq_relationship.bias"]
    model, report = ViLBertForPreTraining.from_bert(tmp_path, vilbert_config())
    states = torch.randn(2, 32)
    with torch.no_grad():
        ours, theirs = model.cls.predictions(states), bert.cls.predictions(states)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)
    assert {name: report.copied[name] for name in HEAD} == dict(zip(HEAD, HEAD, strict=True))
    assert report.not_copied == [*POOLER, "cls.seq_relationship.weight", "cls.seq_relationship.bias"]


def test_a_free_decoder_starts_as_the_word_embeddings(tmp_path):
    bert = save_small_bert(tmp_path, BertModel)
    model, report = ViLBertForPreTraining.from_bert(tmp_path, vilbert_config(tie_word_embeddings=False))
    words, decoder = model.get_input_embeddings().weight, model.get_output_embeddings().weight
    assert decoder is not words and torch.equal(decoder, bert.embeddings.word_embeddings.weight)
    assert "cls.predictions.decoder.weight" not in report.fresh and set(HEAD) <= set(report.fresh)
