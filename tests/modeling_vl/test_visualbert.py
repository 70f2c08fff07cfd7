"""What only VisualBERT has: text alone, word links, visual types, the bypass."""

import pytest
import torch

from modeling_vl import VisualBertForPreTraining, VisualBertModel
from tests.tiny_models import tiny_inputs, tiny_model


def text_of(inputs):
    return {name: inputs[name] for name in ("input_ids", "token_type_ids", "attention_mask")}


@pytest.mark.parametrize("bypass", [True, False])
def test_text_alone(bypass):
    model, text = tiny_model(VisualBertForPreTraining, bypass_transformer=bypass), text_of(tiny_inputs())
    output = model(**text, output_hidden_states=True)
    assert output.prediction_logits.shape == (3, 9, 99)
    assert len(output.hidden_states) == 4


def test_the_bypass_lets_layers_read_text_only():
    model, inputs = tiny_model(VisualBertModel, bypass_transformer=True), tiny_inputs()
    output = model(**inputs, output_hidden_states=True, output_attentions=True)
    alone = model(**text_of(inputs), output_hidden_states=True)
    assert [state.shape[1] for state in output.hidden_states] == [15, 9, 9, 9, 15]
    assert [weights.shape[-1] for weights in output.attentions] == [9, 9, 9, 15]
    torch.testing.assert_close(output.hidden_states[3], alone.hidden_states[3], rtol=0, atol=1e-6)
    assert not torch.allclose(output.pooler_output, alone.pooler_output)


def test_regions_take_the_mean_position_of_the_words_they_are_linked_to():
    model = tiny_model(VisualBertModel)
    embeddings, layout_inputs = model.embeddings, tiny_inputs(padded=False)
    links = torch.full((3, 6, 2), -1)
    links[0, 0], links[1, 2, 0] = torch.tensor([3, 5]), 7
    calls = []
    embeddings.LayerNorm.register_forward_pre_hook(lambda module, args: calls.append(args[0]))
    model(**layout_inputs)
    model(**layout_inputs, image_text_alignment=links)
    added = calls[3] - calls[1]
    positions = embeddings.position_embeddings.weight
    torch.testing.assert_close(added[0, 0], (positions[3] + positions[5]) / 2, rtol=0, atol=1e-6)
    torch.testing.assert_close(added[1, 2], positions[7], rtol=0, atol=1e-6)
    assert added.flatten(0, 1).any(-1).sum() == 2


def test_links_beyond_the_last_region_are_cut():
    model, inputs = tiny_model(VisualBertModel), tiny_inputs()
    links = torch.randint(-1, 9, (3, 8, 2))
    expected = model(**inputs, image_text_alignment=links[:, :6]).last_hidden_state
    assert torch.equal(model(**inputs, image_text_alignment=links).last_hidden_state, expected)


@pytest.mark.parametrize("default", [0, 1])
def test_the_default_visual_type_is_a_config_field(default):
    model, inputs = tiny_model(VisualBertModel, visual_token_type_id=default), tiny_inputs()
    outputs = {
        kind: model(**inputs, visual_token_type_ids=torch.full((3, 6), kind)).last_hidden_state for kind in (0, 1)
    }
    assert torch.equal(model(**inputs).last_hidden_state, outputs[default])
    assert not torch.equal(outputs[0], outputs[1])


@pytest.mark.parametrize("special", [True, False])
def test_fresh_visual_tables_copy_the_text_tables_when_asked(special):
    torch.manual_seed(0)
    config = tiny_model(VisualBertModel).config
    config.special_visual_initialize = special
    embeddings = VisualBertModel(config).embeddings
    for table in ("token_type_embeddings", "position_embeddings"):
        text, visual = getattr(embeddings, table).weight, getattr(embeddings, f"visual_{table}").weight
        assert torch.equal(text, visual) == special
        assert text.data_ptr() != visual.data_ptr()


def test_voltas_second_pooler_reads_the_first_region():
    model = tiny_model(VisualBertForPreTraining, fusion_method="mul", pooler_act="relu", pooler_size=10)
    inputs = tiny_inputs()
    states = model.visual_bert(**inputs)
    pooled = model.visual_bert.visual_pooler.dense(states.last_hidden_state[:, 9]).relu()
    torch.testing.assert_close(states.visual_pooler_output, pooled)
    logits = model.cls.seq_relationship(states.pooler_output * pooled)
    torch.testing.assert_close(model(**inputs).seq_relationship_logits, logits)
    inputs["visual_attention_mask"][1, 0] = 0
    model.config.packed_execution = False
    expected = model(**inputs).seq_relationship_logits
    model.config.packed_execution = True
    torch.testing.assert_close(model(**inputs).seq_relationship_logits, expected, rtol=0, atol=1e-6)


def test_text_alone_cannot_be_judged_where_the_image_is_read():
    model = tiny_model(VisualBertForPreTraining, fusion_method="mul")
    with pytest.raises(ValueError, match="fusion_method"):
        model(**text_of(tiny_inputs()))
