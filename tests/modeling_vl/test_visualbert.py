"""What only VisualBERT has: text alone, word links, visual types, the bypass."""

import pytest
import torch

from modeling_vl import VisualBertForPreTraining, VisualBertModel
from tests.tiny_models import places, tiny_inputs, tiny_model


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


@torch.no_grad()
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("bypass", [True, False])
def test_pairs_equal_the_same_rows_given_one_by_one(packed, bypass):
    model = tiny_model(VisualBertModel, packed_execution=packed, bypass_transformer=bypass)
    inputs = tiny_inputs()
    pairs = torch.tensor([[0, 0], [0, 1], [2, 1], [1, 2], [0, 2]])
    links = torch.randint(-1, 9, (5, 6, 2), generator=torch.Generator().manual_seed(0))
    inputs["visual_token_type_ids"] = torch.randint(0, 2, (3, 6), generator=torch.Generator().manual_seed(1))
    paired = model(**inputs, pair_index=pairs, image_text_alignment=links)
    rows = {name: pairs[:, 1 if name.startswith("visual") else 0] for name in inputs}
    alone = {name: x[rows[name]] for name, x in inputs.items()}
    expected = model(**alone, image_text_alignment=links)
    torch.testing.assert_close(paired.pooler_output, expected.pooler_output, rtol=0, atol=1e-6)
    real = places(alone, "joint")
    torch.testing.assert_close(paired.last_hidden_state[real], expected.last_hidden_state[real], rtol=0, atol=1e-6)


@torch.no_grad()
def test_labels_of_pairs_have_a_row_a_pair():
    model, inputs = tiny_model(VisualBertForPreTraining), tiny_inputs()
    pairs = torch.tensor([[1, 0], [0, 1]])
    labels = torch.full((2, 9), -100)
    labels[0, 4], labels[1, 8] = 3, 5
    rows = {name: pairs[:, 1 if name.startswith("visual") else 0] for name in inputs}
    expected = model(**{name: x[rows[name]] for name, x in inputs.items()}, labels=labels).loss
    torch.testing.assert_close(model(**inputs, pair_index=pairs, labels=labels).loss, expected, rtol=0, atol=1e-6)
    labels[0, 5] = 1  # padding of text 1, a real place of text 0
    with pytest.raises(ValueError, match=r"labels of rows \[0\] lie on padding"):
        model(**inputs, pair_index=pairs, labels=labels)


def test_features_are_projected_once_an_image():
    model, rows = tiny_model(VisualBertModel, packed_execution=False), []
    model.embeddings.visual_projection.register_forward_hook(lambda module, args, output: rows.append(len(args[0])))
    model(**tiny_inputs(), pair_index=torch.cartesian_prod(torch.arange(3), torch.arange(3)))
    assert rows == [3]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pair_index": torch.tensor([[0, 3]])}, r"pair_index\[:, 1\] must lie between 0 and 2 .the images given"),
        ({"pair_index": torch.tensor([0, 1])}, r"pair_index must be \[pairs, 2\]"),
        (
            {"pair_index": torch.tensor([[0, 1]]), "image_text_alignment": torch.zeros(3, 6, 1).long()},
            r"image_text_alignment must be \[1, 6, 1\], got \[3, 6, 1\]",
        ),
    ],
)
def test_pairs_that_are_not_there_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        tiny_model(VisualBertModel)(**tiny_inputs(), **change)
    with pytest.raises(ValueError, match="pair_index is given without visual_embeds"):
        tiny_model(VisualBertModel)(**text_of(tiny_inputs()), pair_index=change["pair_index"])


@torch.no_grad()
@pytest.mark.parametrize("packed", [True, False])
def test_the_single_stream_baseline_reads_boxes_and_norms_words_and_regions_apart(packed):
    model = tiny_model(
        VisualBertModel,
        visual_location_size=5,
        separate_layer_norms=True,
        visual_token_type_id=1,
        packed_execution=packed,
    )
    table, inputs = model.embeddings, tiny_inputs()
    states = model(**inputs, output_hidden_states=True).hidden_states[0]
    words = table.word_embeddings(inputs["input_ids"]) + table.position_embeddings.weight[:9]
    words = table.LayerNorm(words + table.token_type_embeddings(inputs["token_type_ids"]))
    regions = table.visual_projection(inputs["visual_embeds"])
    regions = regions + table.visual_location_projection(inputs["visual_locations"])
    regions = regions + table.visual_token_type_embeddings.weight[1] + table.visual_position_embeddings.weight[0]
    expected = torch.cat((words, table.visual_LayerNorm(regions)), 1)
    real = places(inputs, "joint")
    torch.testing.assert_close(states[real], expected[real], rtol=0, atol=1e-5)
    assert (table.visual_LayerNorm(regions) - table.LayerNorm(regions)).abs().max() > 0.01


def test_boxes_are_asked_for_only_where_they_are_read():
    inputs = tiny_inputs()
    locations = inputs.pop("visual_locations")
    assert "visual_location_projection.weight" not in dict(tiny_model(VisualBertModel).embeddings.named_parameters())
    tiny_model(VisualBertModel)(**inputs)
    model = tiny_model(VisualBertModel, visual_location_size=5)
    with pytest.raises(ValueError, match=r"visual_locations are missing: this model reads boxes, \[3, 6, 5\]"):
        model(**inputs)
    with pytest.raises(ValueError, match=r"visual_locations must be \[3, 6, 5\], got \[3, 6, 4\]"):
        model(**inputs, visual_locations=locations[..., :4])


def test_what_is_recorded_of_the_bypassed_layers_has_a_row_a_text():
    pairs = torch.tensor([[0, 0], [0, 1], [2, 1], [1, 2], [0, 2]])
    recorded = {"output_hidden_states": True, "output_attentions": True}
    rows = {}
    for bypass in (True, False):
        output = tiny_model(VisualBertModel, bypass_transformer=bypass)(**tiny_inputs(), pair_index=pairs, **recorded)
        rows[bypass] = [len(state) for state in output.hidden_states], [len(weights) for weights in output.attentions]
    assert rows == {True: ([5, 3, 3, 3, 5], [3, 3, 3, 5]), False: ([5, 5, 5, 5], [5, 5, 5])}
