"""What only ViLBERT has: pairs, task tokens, dynamic attention, frozen layers."""

import pytest
import torch

from modeling_vl import ViLBertForPreTraining, ViLBertModel
from tests.tiny_models import places, tiny_inputs, tiny_labels, tiny_model


def test_pairs_equal_the_same_rows_given_one_by_one():
    model, inputs = tiny_model(ViLBertModel), tiny_inputs()
    pairs = torch.tensor([[0, 0], [0, 1], [2, 1], [1, 2], [0, 2]])
    paired = model(**inputs, pair_index=pairs)
    text = {name: inputs[name][pairs[:, 0]] for name in ("input_ids", "token_type_ids", "attention_mask")}
    image = {name: inputs[name][pairs[:, 1]] for name in inputs if name.startswith("visual")}
    expected = model(**text, **image)
    for name in ("pooler_output", "visual_pooler_output"):
        torch.testing.assert_close(paired[name], expected[name], rtol=0, atol=1e-6)
    real = places(text | image, "text")
    torch.testing.assert_close(paired.last_hidden_state[real], expected.last_hidden_state[real], rtol=0, atol=1e-6)


def test_layers_before_the_first_meeting_run_once_a_text_and_once_an_image():
    model, inputs = tiny_model(ViLBertModel, visual_coattention_ids=[1, 2]), tiny_inputs()
    batches = {}
    for stream in ("text", "visual"):
        layer = getattr(model.encoder, f"{stream}_layers")[0]
        layer.register_forward_hook(lambda module, args, output, name=stream: batches.update({name: len(args[0])}))
    model.config.packed_execution = False
    one_text = {name: inputs[name][:1] for name in ("input_ids", "token_type_ids", "attention_mask")}
    image = {name: inputs[name] for name in inputs if name.startswith("visual")}
    output = model(**one_text, **image, pair_index=torch.tensor([[0, 0], [0, 1], [0, 2]]))
    assert batches == {"text": 1, "visual": 3}
    assert output.last_hidden_state.shape[0] == 3


def test_what_is_recorded_before_the_first_meeting_has_a_row_a_text_or_a_row_an_image():
    pairs = torch.tensor([[0, 0], [0, 1], [2, 1], [1, 2], [0, 2]])
    output = tiny_model(ViLBertModel)(
        **tiny_inputs(), pair_index=pairs, output_hidden_states=True, output_attentions=True
    )
    rows = {
        name: [len(state) for state in output[name]]
        for name in ("hidden_states", "visual_hidden_states", "attentions", "text_attends_visual")
    }
    assert rows == {
        "hidden_states": [3, 3, 5, 5, 5, 5],  # embeddings and one layer, then the text meets the image
        "visual_hidden_states": [3, 5, 5, 5, 5],
        "attentions": [3, 5, 5],
        "text_attends_visual": [5, 5],
    }


def test_task_ids_may_be_a_column():
    model, inputs = tiny_model(ViLBertModel, num_task_tokens=4), tiny_inputs()
    row, column = (
        model(**inputs, task_ids=tasks) for tasks in (torch.tensor([0, 1, 3]), torch.tensor([[0], [1], [3]]))
    )
    assert torch.equal(row.pooler_output, column.pooler_output)


def test_as_many_texts_as_images_unless_pairs_are_given():
    inputs = tiny_inputs()
    inputs |= {name: inputs[name][:2] for name in ("input_ids", "token_type_ids", "attention_mask")}
    with pytest.raises(ValueError, match="2 texts and 3 images.*pair_index"):
        tiny_model(ViLBertModel)(**inputs)


def test_text_alone_is_refused():
    with pytest.raises(ValueError, match="no defined result"):
        tiny_model(ViLBertModel)(input_ids=torch.ones(1, 3, dtype=torch.long))


def test_locations_of_another_size_name_both_shapes():
    inputs = {**tiny_inputs(), "visual_locations": torch.rand(3, 6, 7)}
    with pytest.raises(ValueError, match=r"\[3, 6, 5\].*got \[3, 6, 7\]"):
        tiny_model(ViLBertModel)(**inputs)


def test_task_tokens_lengthen_the_text_and_change_it():
    model, inputs = tiny_model(ViLBertForPreTraining, num_task_tokens=4), tiny_inputs()
    first, second = (
        model(**inputs, task_ids=torch.tensor([task, 1, 2]), output_hidden_states=True) for task in (0, 3)
    )
    assert first.prediction_logits.shape[1] == inputs["input_ids"].shape[1] + 1
    embedded = [output.hidden_states[0] for output in (first, second)]
    changed = (embedded[0] != embedded[1]).any(-1)
    assert changed.nonzero().tolist() == [[0, 1]]
    labels = tiny_labels(regions=True)
    full = model(**inputs, task_ids=torch.tensor([0, 1, 2])).prediction_logits
    kept = torch.cat((full[:, :1], full[:, 2:]), dim=1)
    expected = torch.nn.functional.cross_entropy(kept.flatten(0, 1), labels["labels"].flatten())
    actual = model(**inputs, task_ids=torch.tensor([0, 1, 2]), **labels).mlm_loss
    torch.testing.assert_close(actual, expected)


def test_task_ids_and_the_config_must_agree():
    with pytest.raises(ValueError, match="task_ids are missing.*num_task_tokens=4"):
        tiny_model(ViLBertModel, num_task_tokens=4)(**tiny_inputs())
    with pytest.raises(ValueError, match="task_ids are given.*num_task_tokens=0"):
        tiny_model(ViLBertModel)(**tiny_inputs(), task_ids=torch.zeros(3, dtype=torch.long))


def test_dynamic_attention_lets_the_text_change_the_first_image_layer():
    inputs = tiny_inputs()
    other = {**inputs, "input_ids": inputs["input_ids"].flip(1)}
    for dynamic in (True, False):
        model = tiny_model(ViLBertModel, dynamic_attention=dynamic, visual_coattention_ids=[1, 2])
        states = [model(**i, output_hidden_states=True).visual_hidden_states[1] for i in (inputs, other)]
        assert torch.equal(*states) != dynamic


def test_frozen_layers_and_the_embeddings_below_get_no_gradient():
    model = tiny_model(
        ViLBertForPreTraining,
        frozen_text_layers=1,
        frozen_visual_layers=1,
        visual_coattention_ids=[1, 2],
        tie_word_embeddings=False,
    )
    model(**tiny_inputs(), **tiny_labels(regions=True)).loss.backward()
    without = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    below = ("vilbert.text_embeddings.", "vilbert.visual_embeddings.", "vilbert.encoder.text_layers.0.")
    expected = {n for n, _ in model.named_parameters() if n.startswith((*below, "vilbert.encoder.visual_layers.0."))}
    assert without == expected


def test_without_coattention_the_streams_do_not_meet():
    inputs = tiny_inputs()
    other = {**inputs, "visual_embeds": inputs["visual_embeds"].flip(1)}
    model = tiny_model(ViLBertModel, use_coattention=False)
    assert torch.equal(model(**inputs).last_hidden_state, model(**other).last_hidden_state)
    assert not torch.equal(model(**inputs).visual_last_hidden_state, model(**other).visual_last_hidden_state)


@pytest.mark.parametrize(("stream", "expected"), [("key", (0.3, 0.2)), ("query", (0.2, 0.3))])
def test_coattention_dropout_follows_the_named_stream(stream, expected):
    model = tiny_model(
        ViLBertModel,
        coattention_dropout_stream=stream,
        attention_probs_dropout_prob=0.2,
        visual_attention_probs_dropout_prob=0.3,
    )
    layer = model.encoder.coattention_layers[0]
    attentions = (layer.text_attends_visual.self, layer.visual_attends_text.self)
    assert tuple(attention.dropout for attention in attentions) == expected
