"""Names are accounted for one by one; nothing is missing, unexpected or doubled without a word."""

from __future__ import annotations

import pytest
import torch

from modeling_vl.conversion import ConversionError, ConversionReport
from modeling_vl.conversion.renaming import modernise_names, multiply_out_weight_norm
from tests.modeling_vl.conversion.small_checkpoints import NAMES, checkpoint, convert_small


@pytest.mark.parametrize("kind", NAMES)
def test_every_name_is_accounted_for_once(kind):
    config, state = checkpoint(kind)
    norms = sum(name.endswith("weight_g") for name in state)
    report = convert_small(kind, config, state).report
    assert report.complete
    assert len(report.renamed) + len(report.dropped) == len(state) - norms
    assert len(set(report.renamed.values())) == len(report.renamed)
    assert all(report.dropped.values())
    assert report.unknown_config == []


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("wrapper", ["module.", "model.", "module.model."])
def test_wrappers_do_not_matter(kind, wrapper):
    config, state = checkpoint(kind)
    plain = convert_small(kind, config, state)
    wrapped = convert_small(kind, config, {wrapper + name: tensor for name, tensor in state.items()})
    torch.testing.assert_close(wrapped.state, plain.state, atol=0, rtol=0)
    assert any("module." in note or "model." in note for note in wrapped.report.notes)


def test_two_sets_of_weights_are_an_error():
    config, state = checkpoint("vilbert_beta")
    state["module.cls.predictions.bias"] = state["cls.predictions.bias"]
    with pytest.raises(ConversionError, match=r"module\.cls\.predictions\.bias and the same names without"):
        convert_small("vilbert_beta", config, state)


@pytest.mark.parametrize("kind", NAMES)
def test_a_name_that_no_rule_knows_is_an_error_that_names_it(kind):
    config, state = checkpoint(kind)
    state["surprise.weight"] = torch.zeros(2)
    with pytest.raises(ConversionError, match=r"1 names are unexpected: .*surprise\.weight") as error:
        convert_small(kind, config, state)
    assert len(error.value.report.unexpected) == 1


@pytest.mark.parametrize("kind", NAMES)
def test_a_layer_that_the_model_has_not_is_an_error_that_names_it(kind):
    config, state = checkpoint(kind)
    name = next(name for name in state if ".layer.0." in name and name.endswith("dense.weight"))
    state[name.replace(".layer.0.", ".layer.77.")] = state[name]
    with pytest.raises(ConversionError, match=r"layer\.77\."):
        convert_small(kind, config, state)


@pytest.mark.parametrize("kind", NAMES)
def test_a_weight_that_is_not_there_is_an_error_that_names_it(kind):
    config, state = checkpoint(kind)
    names = [name for name in state if "LayerNorm" in name and "embeddings" in name and name.endswith("weight")]
    for name in names:
        del state[name]
    with pytest.raises(ConversionError, match=r"weights of \w+ are missing: .*embeddings\.LayerNorm\.weight"):
        convert_small(kind, config, state)


def test_shapes_that_differ_are_named_with_both_shapes():
    config, state = checkpoint("vilbert_beta")
    wrong = {**config, "intermediate_size": config["intermediate_size"] + 1}
    rows, columns = config["intermediate_size"], config["hidden_size"]
    expected = rf"intermediate\.dense\.weight \(\[{rows}, {columns}\] in the checkpoint, \[{rows + 1}, {columns}\] by"
    with pytest.raises(ConversionError, match=expected):
        convert_small("vilbert_beta", wrong, state)


def test_gamma_and_beta_are_weight_and_bias():
    config, state = checkpoint("vilbert_beta")
    plain = convert_small("vilbert_beta", config, state)
    old = {}
    for name, tensor in state.items():
        if "LayerNorm" in name:
            name = name.replace(".weight", ".gamma").replace(".bias", ".beta")
        old[name] = tensor
    assert set(old) != set(state)
    torch.testing.assert_close(convert_small("vilbert_beta", config, old).state, plain.state, atol=0, rtol=0)
    assert list(modernise_names({"beta.gamma": 1, "gamma_net.weight": 2})) == ["beta.weight", "gamma_net.weight"]


@pytest.mark.parametrize("dim", [None, 0])
def test_weight_norm_is_multiplied_out_as_torch_does(dim):
    torch.manual_seed(0)
    layer = torch.nn.utils.parametrizations.weight_norm(torch.nn.Linear(5, 4), dim=dim)
    layer.parametrizations.weight.original0.data.mul_(1.7)
    x = torch.randn(3, 5)
    report = ConversionReport("test")
    names = {"parametrizations.weight.original0": "h.weight_g", "parametrizations.weight.original1": "h.weight_v"}
    old_names = {names.get(name, f"h.{name}"): tensor.detach() for name, tensor in layer.state_dict().items()}
    state = multiply_out_weight_norm(old_names, report)
    assert set(state) == {"h.weight", "h.bias"}
    torch.testing.assert_close(torch.nn.functional.linear(x, state["h.weight"], state["h.bias"]), layer(x))
    assert report.notes == ["multiplied out the weight norm of h.weight"]


def test_a_free_decoder_is_kept_and_untied():
    config, state = checkpoint("vilbert_beta")
    tied = convert_small("vilbert_beta", config, dict(state))
    assert tied.config.tie_word_embeddings and "cls.predictions.decoder.weight" not in tied.state
    state["cls.predictions.decoder.weight"] += 1
    free = convert_small("vilbert_beta", config, state)
    assert not free.config.tie_word_embeddings
    assert torch.equal(free.state["cls.predictions.decoder.weight"], state["cls.predictions.decoder.weight"])
    assert any("tie_word_embeddings=False" in note for note in free.report.notes)


def test_options_that_no_config_file_has_are_seen_by_the_weights():
    """12-in-1's task tokens come from the command line of its training script."""
    config, state = checkpoint("vilbert_multi_task")
    options = ("task_specific_tokens", "dynamic_attention")
    assert all(config[option] for option in options)
    told = convert_small("vilbert_multi_task", config, state)
    silent = {key: value for key, value in config.items() if key not in options}
    seen = convert_small("vilbert_multi_task", silent, {f"module.{name}": state[name] for name in state})
    assert seen.config.to_dict() == told.config.to_dict()
    torch.testing.assert_close(seen.state, told.state, atol=0, rtol=0)
    assert "task_specific_tokens=True: the weights show it, the config does not say" in seen.report.notes
    assert not any("weights show" in note for note in told.report.notes)

    off = convert_small("vilbert_multi_task", {**silent, "task_specific_tokens": False}, state)
    assert (off.config.num_task_tokens, off.config.dynamic_attention) == (0, True)
    reason = "the config says task_specific_tokens is False"
    assert off.report.dropped["bert.embeddings.task_embeddings.weight"] == reason

    with pytest.raises(ConversionError, match=r"unexpected: bert\.embeddings\.task_embeddings\.weight"):
        convert_small("vilbert_beta", {**silent, "dynamic_attention": True}, state)


def test_copies_that_differ_are_an_error():
    config, state = checkpoint("volta_visualbert")
    state["bert.encoder.layer.0.attention_self.v_query.weight"] += 1
    with pytest.raises(ConversionError, match=r"v_query\.weight should be the same tensor as .*their values differ"):
        convert_small("volta_visualbert", config, state)
    config, state = checkpoint("transformers")
    state["cls.predictions.decoder.bias"] += 1
    with pytest.raises(ConversionError, match=r"decoder\.bias should be the same tensor as cls\.predictions\.bias"):
        convert_small("transformers", config, state)


def test_the_row_that_means_a_match():
    for kind, trained, name in (
        ("uclanlp", 1, "bert.cls.seq_relationship.weight"),
        ("vilbert_beta", 0, "cls.bi_seq_relationship.weight"),
    ):
        config, state = checkpoint(kind)
        for given in (None, 0, 1):
            rows = convert_small(kind, config, dict(state), given).state["cls.seq_relationship.weight"]
            match = trained if given is None else given
            assert torch.equal(rows[0], state[name][match])
            assert torch.equal(rows[1], state[name][1 - match])


def test_the_report_tells_everything():
    config, state = checkpoint("vilbert_beta")
    text = str(convert_small("vilbert_beta", {**config, "novelty": 1}, state).report)
    assert text.startswith("vilbert_beta -> ViLBertForPreTraining: ")
    assert ", 0 missing, 0 unexpected, 0 of another shape" in text
    for line in (
        "renamed     bert.t_pooler.dense.bias -> vilbert.text_pooler.dense.bias",
        "q_dense1.weight: the original builds it and never uses it",
        "config      pooling_method not used: the original reads fusion_method instead",
        "config      novelty is unknown and was not used",
    ):
        assert line in text
