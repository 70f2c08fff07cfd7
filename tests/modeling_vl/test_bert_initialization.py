"""Starting from a real BERT."""

import pytest
import torch
from transformers import AutoModel

from configuration_vl import ViLBertConfig, VisualBertConfig
from modeling_vl import ViLBertModel, VisualBertModel
from tests.minilm import minilm_folder, tokenizer

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
    from tests.tiny_models import tiny_model

    tiny_model(VisualBertModel).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="'visualbert' model; from_bert reads 'bert'"):
        VisualBertModel.from_bert(tmp_path, VisualBertConfig(num_hidden_layers=1))
