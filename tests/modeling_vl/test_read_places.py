"""What no head reads is not computed, and what is computed is the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from modeling_vl import ViLBertForPreTraining, ViLBertModel, VisualBertModel
from modeling_vl.layers import Intermediate
from modeling_vl.read_places import POOLED, ReadPlaces
from tests.tiny_models import BATCH, PRETRAINING_CLASSES, REGIONS, TEXT, places, tiny_inputs, tiny_labels, tiny_model
from tests.tiny_tasks import both, every_task, task_inputs, task_labels, task_model

MEETINGS = {
    "layers behind the last meeting": {},
    "the meeting ends the text": {"text_coattention_ids": [1, 3]},
    "the meeting ends both": {"text_coattention_ids": [1, 3], "visual_coattention_ids": [0, 2]},
    "gates read the text": {"dynamic_attention": True, "text_coattention_ids": [1, 3]},
    "one meeting": {"text_coattention_ids": [3], "visual_coattention_ids": [2]},
}
TOKENS_READ = torch.zeros(BATCH, TEXT, dtype=torch.bool)
TOKENS_READ[0, 3] = TOKENS_READ[0, 5] = TOKENS_READ[2, 1] = True
REGIONS_READ = torch.zeros(BATCH, REGIONS, dtype=torch.bool)
REGIONS_READ[1, 1] = REGIONS_READ[2, 4] = True


def rows_of_layers(model: nn.Module) -> list[int]:
    """Gets the number of tokens in each feed-forward layer as the model runs, in order."""
    rows: list[int] = []
    for module in model.modules():
        if isinstance(module, Intermediate):
            module.register_forward_hook(lambda _, __, output: rows.append(output.shape[:-1].numel()))
    return rows


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("meetings", MEETINGS)
@torch.no_grad()
def test_vilbert_computes_what_is_read_as_if_all_were(meetings: str, padded: bool) -> None:
    model, inputs = tiny_model(ViLBertModel, **MEETINGS[meetings]), tiny_inputs(padded)
    pairs = None if "gates" in meetings else torch.tensor([[0, 1], [2, 2], [1, 0]])
    everything = model(**inputs, pair_index=pairs)
    read = model(**inputs, pair_index=pairs, read_places=ReadPlaces(TOKENS_READ, REGIONS_READ))
    for name, wanted in (("last_hidden_state", TOKENS_READ), ("visual_last_hidden_state", REGIONS_READ)):
        real = everything[name].abs().sum(-1) > 0
        torch.testing.assert_close(read[name][wanted], everything[name][wanted], rtol=0, atol=1e-5)
        assert everything[name][wanted & real].std() > 0.01
        unread = ~wanted
        unread[:, 0] = False
        if meetings != "gates read the text" or name != "last_hidden_state":
            assert read[name][unread].abs().sum() == 0
    for name in ("pooler_output", "visual_pooler_output"):
        torch.testing.assert_close(read[name], everything[name], rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_gate_waits_for_no_image_that_is_not_read() -> None:
    """One text gates three images, two of which it is paired with; only the pooled text is read."""
    fields = {"dynamic_attention": True, "text_coattention_ids": [1], "visual_coattention_ids": [1]}
    model = tiny_model(ViLBertModel, fusion_method="text", **fields)
    inputs = {name: value if "visual" in name else value[:1] for name, value in tiny_inputs().items()}
    pairs = torch.tensor([[0, 2], [0, 0]])
    expected = model(**inputs, pair_index=pairs).pooler_output
    read = model(**inputs, pair_index=pairs, read_places=POOLED).pooler_output
    torch.testing.assert_close(read, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("bypass", [True, False])
@pytest.mark.parametrize("padded", [True, False])
@torch.no_grad()
def test_visualbert_computes_what_is_read_as_if_all_were(padded: bool, bypass: bool) -> None:
    model, inputs = tiny_model(VisualBertModel, bypass_transformer=bypass), tiny_inputs(padded)
    everything, read = model(**inputs), model(**inputs, read_places=ReadPlaces(TOKENS_READ, REGIONS_READ))
    wanted = torch.cat((TOKENS_READ, REGIONS_READ), dim=1)
    states = [output.last_hidden_state for output in (read, everything)]
    torch.testing.assert_close(states[0][wanted], states[1][wanted], rtol=0, atol=1e-5)
    torch.testing.assert_close(read.pooler_output, everything.pooler_output, rtol=0, atol=1e-5)
    wanted[:, 0] = True
    assert states[0][~wanted].abs().sum() == 0


@torch.no_grad()
def test_the_last_layers_run_on_what_is_read() -> None:
    inputs = tiny_inputs()
    words, regions = (int(places(inputs, name).sum()) for name in ("text", "regions"))
    model = tiny_model(VisualBertModel)
    rows = rows_of_layers(model)
    model(**inputs, read_places=POOLED)
    assert rows == [words + regions, words + regions, BATCH]
    model = tiny_model(ViLBertModel)
    rows = rows_of_layers(model)
    model(**inputs, read_places=POOLED)
    # text, both at the first meeting, text and image, both at the second meeting, image, text
    meeting = [words, regions]
    assert rows == [words, *meeting, words, regions, *meeting, BATCH, BATCH]
    rows.clear()
    model(**inputs, read_places=ReadPlaces(text=False, pooled=False))
    assert rows == [words, *meeting, words, regions, regions, regions]  # no text from the second meeting on


@pytest.mark.parametrize("wish", [{"output_hidden_states": True}, {"output_attentions": True}])
@torch.no_grad()
def test_whoever_asks_for_states_or_weights_gets_all_of_them(wish: dict[str, bool]) -> None:
    for model_class in (ViLBertModel, VisualBertModel):
        model, inputs = tiny_model(model_class), tiny_inputs()
        expected, read = model(**inputs, **wish), model(**inputs, **wish, read_places=POOLED)
        for name in expected:
            torch.testing.assert_close(read[name], expected[name], rtol=0, atol=0)


@pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)
def test_pre_training_gradients_are_those_of_the_plain_path(model_class: type) -> None:
    gradients = []
    for packed in (True, False):
        model = tiny_model(model_class, packed_execution=packed)
        rows = rows_of_layers(model)
        model(**tiny_inputs(), **tiny_labels(regions=model_class is ViLBertForPreTraining)).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
        assert (rows[-1] < BATCH * TEXT / 2) == packed
    for name, gradient in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], gradient, rtol=0, atol=1e-5)


@every_task
@both
def test_task_gradients_are_those_of_the_plain_path(model: str, task: str) -> None:
    gradients = []
    for packed in (True, False):
        tiny = task_model(model, task, packed_execution=packed)
        tiny(**task_inputs(task), **task_labels(task)).loss.backward()
        gradients.append({n: x.grad for n, x in tiny.named_parameters() if x.grad is not None})
    assert len(gradients[0]) == len(gradients[1]) > 20
    for name, gradient in gradients[1].items():
        torch.testing.assert_close(gradients[0][name], gradient, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_pairs_share_the_projections_of_the_first_meeting() -> None:
    model, inputs = tiny_model(ViLBertModel), tiny_inputs()
    words, regions = (int(places(inputs, name).sum()) for name in ("text", "regions"))
    meeting = model.encoder.coattention_layers[0]
    rows = {}
    for name, module in meeting.named_modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, __, out, key=name: rows.update({key: out.shape[:-1].numel()}))
    model(**inputs, pair_index=torch.cartesian_prod(torch.arange(BATCH), torch.arange(BATCH)))
    shared = {
        **dict.fromkeys(("text_attends_visual.self.query", "visual_attends_text.self.key"), words),
        **dict.fromkeys(("visual_attends_text.self.query", "text_attends_visual.self.key"), regions),
        "text_attends_visual.output.dense": BATCH * words,
        "visual_attends_text.output.dense": BATCH * regions,
    }
    assert {name: rows[name] for name in shared} == shared


@pytest.mark.parametrize("model_class", [ViLBertModel, VisualBertModel])
@torch.no_grad()
def test_a_pooler_of_the_mean_reads_all_words(model_class: type) -> None:
    model, inputs = tiny_model(model_class, text_pooling="mean"), tiny_inputs()
    expected, read = model(**inputs), model(**inputs, read_places=POOLED)
    torch.testing.assert_close(read.pooler_output, expected.pooler_output, rtol=0, atol=1e-5)
