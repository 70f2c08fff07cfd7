"""The tied word table gets one gradient, and the same one."""

from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from modeling_vl import ViLBertForPreTraining
from modeling_vl.shared_table import share_table
from tests.tiny_models import PRETRAINING_CLASSES, tiny_inputs, tiny_labels, tiny_model

both = pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)


def batch_for(model_class: type) -> dict[str, torch.Tensor]:
    """Inputs and labels."""
    return {**tiny_inputs(), **tiny_labels(regions=model_class is ViLBertForPreTraining)}


@both
def test_the_gradient_is_that_of_lookup_and_decoder_together(model_class: type) -> None:
    tied, free = tiny_model(model_class), tiny_model(model_class, tie_word_embeddings=False)
    free.load_state_dict(tied.state_dict(), strict=False)
    free.get_output_embeddings().weight.data.copy_(tied.get_input_embeddings().weight)
    for model in (tied, free):
        model(**batch_for(model_class)).loss.backward()
    parts = (free.get_input_embeddings().weight.grad, free.get_output_embeddings().weight.grad)
    assert all(part.abs().sum() > 0.01 for part in parts)
    gradient = tied.get_input_embeddings().weight.grad
    assert not gradient.is_sparse
    torch.testing.assert_close(gradient, sum(parts), rtol=0, atol=1e-6)


@both
def test_without_a_loss_of_words_the_gradient_is_that_of_the_lookup(model_class: type) -> None:
    tied, free = tiny_model(model_class), tiny_model(model_class, tie_word_embeddings=False)
    free.load_state_dict(tied.state_dict(), strict=False)
    for model in (tied, free):
        model(**batch_for(model_class)).alignment_loss.backward()
    gradient = tied.get_input_embeddings().weight.grad
    assert not gradient.is_sparse
    torch.testing.assert_close(gradient, free.get_input_embeddings().weight.grad, rtol=0, atol=1e-6)


@both
def test_a_step_allocates_one_table_of_gradients(model_class: type) -> None:
    model = tiny_model(model_class, vocab_size=50_000)
    batch = batch_for(model_class)
    loss = model(**batch).loss
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss.backward()
    sizes = [event.nbytes() for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    table = model.get_input_embeddings().weight
    assert sum(size >= table.numel() * table.element_size() for size in sizes) == 1


def test_tables_that_are_not_tied_or_not_trained_stay_apart() -> None:
    model = tiny_model(ViLBertForPreTraining)
    embeddings, decoder = model.get_input_embeddings(), model.get_output_embeddings()
    assert all(table.data_ptr() == embeddings.weight.data_ptr() for table in share_table(embeddings, decoder))
    embeddings.weight.requires_grad_(False)
    assert share_table(embeddings, decoder) == (None, None)
    free = tiny_model(ViLBertForPreTraining, tie_word_embeddings=False)
    assert share_table(free.get_input_embeddings(), free.get_output_embeddings()) == (None, None)


def test_gradients_have_gradients() -> None:
    tied, free = (tiny_model(ViLBertForPreTraining, tie_word_embeddings=tie) for tie in (True, False))
    free.load_state_dict(tied.state_dict(), strict=False)
    free.get_output_embeddings().weight.data.copy_(tied.get_input_embeddings().weight)
    results = []
    for model in (tied, free):
        model.set_attn_implementation("eager")
        tables = list(dict.fromkeys([model.get_input_embeddings().weight, model.get_output_embeddings().weight]))
        gradients = torch.autograd.grad(model(**batch_for(ViLBertForPreTraining)).loss, tables, create_graph=True)
        sum(gradients).square().sum().backward()
        results.append(sum(table.grad for table in tables))
    assert results[0].abs().max() > 0.1
    torch.testing.assert_close(results[0], results[1], rtol=1e-5, atol=1e-5)


@both
def test_functional_gradients_are_those_of_the_model(model_class: type) -> None:
    model, batch = tiny_model(model_class), batch_for(model_class)
    parameters = dict(model.named_parameters())
    functional = torch.func.grad(lambda values: torch.func.functional_call(model, values, (), batch).loss)(parameters)
    model(**batch).loss.backward()
    for name, parameter in parameters.items():
        torch.testing.assert_close(functional[name], parameter.grad, rtol=0, atol=1e-6)


@both
@pytest.mark.parametrize(
    "register", ["register_forward_hook", "register_forward_pre_hook", "register_full_backward_hook"]
)
def test_hooked_tables_are_called(model_class: type, register: str) -> None:
    model = tiny_model(model_class)
    modules = [model.get_input_embeddings(), model.get_output_embeddings()]
    called = []
    for module in modules:
        getattr(module, register)(lambda module, *_: called.append(module))
    model(**batch_for(model_class)).loss.backward()
    assert set(called) == set(modules)
