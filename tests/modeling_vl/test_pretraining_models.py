"""What both pre-training classes promise: losses, logits, precision, checkpointing, saving."""

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForPreTraining

from modeling_vl import ViLBertForPreTraining, ViLBertModel, VisualBertForPreTraining, VisualBertModel
from modeling_vl.losses import count_labels
from tests.tiny_models import PRETRAINING_CLASSES, VOCABULARY, places, tiny_inputs, tiny_labels, tiny_model

EXACT = {"rtol": 0, "atol": 0}
both = pytest.mark.parametrize("model_class", PRETRAINING_CLASSES)


def labels_for(model_class):
    return tiny_labels(regions=model_class is ViLBertForPreTraining)


@both
def test_masks_are_optional(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs(padded=False)
    ones = {
        "attention_mask": torch.ones_like(inputs["input_ids"]),
        "visual_attention_mask": torch.ones(inputs["visual_embeds"].shape[:2], dtype=torch.long),
    }
    torch.testing.assert_close(
        model(**inputs).prediction_logits, model(**inputs, **ones).prediction_logits, rtol=0, atol=1e-6
    )


@both
def test_the_losses_are_those_of_the_full_logits(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    logits, output = model(**inputs), model(**inputs, **labels)
    words = logits.prediction_logits[:, : labels["labels"].shape[1]]
    expected = torch.nn.functional.cross_entropy(words.flatten(0, 1), labels["labels"].flatten())
    torch.testing.assert_close(output.mlm_loss, expected)
    expected = torch.nn.functional.cross_entropy(logits.seq_relationship_logits, labels["sentence_image_labels"])
    torch.testing.assert_close(output.alignment_loss, expected)
    terms = output.mlm_loss + output.alignment_loss
    if model_class is ViLBertForPreTraining:
        predicted = labels["region_labels"] == 1
        target, logit = labels["region_class_probs"][predicted], logits.region_logits["kl"][predicted]
        expected = (target * (target.log() - logit.log_softmax(-1))).sum() / predicted.sum()
        torch.testing.assert_close(output.region_loss, expected)
        terms = terms + output.region_loss
    torch.testing.assert_close(output.loss, terms)


@both
def test_logits_do_not_depend_on_labels_and_come_on_request(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    plain, quiet = model(**inputs), model(**inputs, **labels)
    asked = model(**inputs, **labels, return_logits=True)
    assert quiet.prediction_logits is None and quiet.region_logits is None
    assert model(**inputs, return_logits=False).prediction_logits is None
    torch.testing.assert_close(asked.prediction_logits, plain.prediction_logits, **EXACT)
    # Without logits the last layers compute fewer rows, and a matrix product of fewer rows may round otherwise.
    torch.testing.assert_close(quiet.seq_relationship_logits, plain.seq_relationship_logits, rtol=0, atol=1e-7)
    torch.testing.assert_close(asked.loss, quiet.loss, rtol=1e-6, atol=0)


@both
def test_only_labelled_positions_reach_the_vocabulary(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    seen = []
    model.cls.predictions.register_forward_hook(lambda module, args, output: seen.append(tuple(output.shape)))
    model(**inputs, **labels)
    assert seen == [(4, VOCABULARY)]


@both
def test_a_term_with_nothing_to_predict_is_zero_and_keeps_its_gradient_path(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    for name in {"labels", "sentence_image_labels", "region_labels"} & labels.keys():
        labels[name] = torch.full_like(labels[name], -100)
    output = model(**inputs, **labels)
    assert output.loss == 0 and output.mlm_loss == 0 and output.alignment_loss == 0
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None and gradient.abs().max() == 0 for gradient in gradients.values())


@both
def test_gradients_can_be_watched_at_every_layer(model_class):
    model, batch = tiny_model(model_class), {**tiny_inputs(), **labels_for(model_class)}
    watched = set()
    for name, module in model.named_modules():
        if not list(module.children()):
            module.register_full_backward_hook(lambda module, inputs, outputs, name=name: watched.add(name))
    model(**batch).loss.backward()
    assert {"cls.predictions.decoder", "cls.seq_relationship"} < watched


@both
def test_micro_batches_with_denominators_add_up_to_the_big_batch(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    whole = model(**inputs, **labels)
    counts = count_labels(labels)
    assert counts["mlm"] == 4 and counts["alignment"] == 3
    parts = []
    for rows in (slice(0, 1), slice(1, 3)):
        part = {name: value[rows] for name, value in {**inputs, **labels}.items()}
        parts.append(model(**part, loss_denominators=counts))
    for term in ("loss", "mlm_loss", "alignment_loss", "region_loss"):
        if whole.get(term) is not None:
            torch.testing.assert_close(sum(part[term] for part in parts), whole[term])


@both
def test_labels_may_cover_the_regions_as_in_transformers(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    expected = model(**inputs, **labels).mlm_loss
    labels["labels"] = torch.nn.functional.pad(labels["labels"], (0, 6), value=-100)
    torch.testing.assert_close(model(**inputs, **labels).mlm_loss, expected, **EXACT)
    labels["labels"] = labels["labels"][:, :12]
    with pytest.raises(ValueError, match=r"labels must be \[3, 9\].*\[3, 15\].*got \[3, 12\]"):
        model(**inputs, **labels)


@both
def test_a_text_longer_than_the_position_table_is_refused(model_class):
    inputs = {**tiny_inputs(padded=False), "input_ids": torch.ones(3, 25, dtype=torch.long), "token_type_ids": None}
    with pytest.raises(ValueError, match="25 word pieces, the model reads 24"):
        tiny_model(model_class)(**inputs)


@both
def test_a_wrong_feature_width_names_both_numbers(model_class):
    inputs = {**tiny_inputs(), "visual_embeds": torch.zeros(3, 6, 1024)}
    with pytest.raises(ValueError, match=r"regions, 20\].*1024.*2054"):
        tiny_model(model_class)(**inputs)


@both
def test_float32_features_go_into_a_bfloat16_model(model_class):
    model = tiny_model(model_class).to(torch.bfloat16)
    output = model(**tiny_inputs(), **labels_for(model_class))
    assert torch.isfinite(output.loss)
    reference = tiny_model(model_class)(**tiny_inputs(), **labels_for(model_class))
    torch.testing.assert_close(output.loss.float(), reference.loss, rtol=0.05, atol=0)


@both
def test_autocast_stays_close_to_float32(model_class):
    model, inputs, labels = tiny_model(model_class), tiny_inputs(), labels_for(model_class)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(**inputs, **labels).loss
    torch.testing.assert_close(mixed.float(), model(**inputs, **labels).loss, rtol=0.05, atol=0)


@both
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_does_not_change_gradients(model_class, reentrant):
    gradients = []
    for checkpointing in (False, True):
        model = tiny_model(model_class)
        if checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": reentrant})
        model.train()
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "dropout") and isinstance(module.dropout, float):
                module.dropout = 0.0
        model(**tiny_inputs(), **labels_for(model_class)).loss.backward()
        gradients.append({name: parameter.grad for name, parameter in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, **EXACT, msg=lambda m, n=name: f"{n}: {m}")


@both
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_no_nan_when_nothing_is_visible(model_class, dtype):
    inputs = tiny_inputs()
    inputs["visual_attention_mask"][1] = 0
    inputs["attention_mask"][1] = 0
    model = tiny_model(model_class).to(dtype)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Scores below zero by more than float16 has room for beside its lowest number.
            if name.endswith(("query.bias", "key.bias")):
                parameter.fill_(8 if "query" in name else -8)
    for backend in ("eager", "sdpa"):
        model.config._attn_implementation = backend
        assert torch.isfinite(model(**inputs).prediction_logits).all()


@both
def test_saved_and_loaded_by_the_auto_classes(model_class, tmp_path):
    model, inputs = tiny_model(model_class), tiny_inputs()
    model.save_pretrained(tmp_path)
    loaded, info = AutoModelForPreTraining.from_pretrained(tmp_path, output_loading_info=True)
    assert type(loaded) is model_class and not any(info[key] for key in ("missing_keys", "unexpected_keys"))
    assert type(AutoConfig.from_pretrained(tmp_path)) is model_class.config_class
    embeddings = loaded.get_input_embeddings().weight
    assert loaded.get_output_embeddings().weight is embeddings
    torch.testing.assert_close(loaded(**inputs).prediction_logits, model(**inputs).prediction_logits, **EXACT)
    base = AutoModel.from_pretrained(tmp_path)
    assert type(base) in (ViLBertModel, VisualBertModel)
    states = base(**inputs).last_hidden_state
    torch.testing.assert_close(states, getattr(model, model.base_model_prefix)(**inputs).last_hidden_state, **EXACT)


@both
def test_a_free_vocabulary_decoder_is_saved_apart(model_class, tmp_path):
    model = tiny_model(model_class, tie_word_embeddings=False)
    assert model.get_output_embeddings().weight is not model.get_input_embeddings().weight
    model.save_pretrained(tmp_path)
    loaded = model_class.from_pretrained(tmp_path)
    torch.testing.assert_close(loaded.get_output_embeddings().weight, model.get_output_embeddings().weight, **EXACT)


@both
def test_resizing_the_vocabulary_takes_the_bias_along(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs()
    before = model(**inputs).prediction_logits
    model.resize_token_embeddings(VOCABULARY + 5, mean_resizing=False)
    after = model(**inputs).prediction_logits
    assert after.shape[-1] == model.config.vocab_size == VOCABULARY + 5
    torch.testing.assert_close(after[..., :VOCABULARY], before, rtol=0, atol=1e-6)


@both
def test_tuples_on_request(model_class):
    model, inputs = tiny_model(model_class), tiny_inputs()
    logits, *_ = model(**inputs, return_dict=False)
    torch.testing.assert_close(logits, model(**inputs).prediction_logits, **EXACT)


@both
def test_a_misspelt_argument_is_refused(model_class):
    with pytest.raises(TypeError, match="visual_mask"):
        tiny_model(model_class)(**tiny_inputs(), visual_mask=torch.ones(3, 6))


def test_native_visual_bert_still_belongs_to_transformers(tmp_path):
    import transformers

    sizes = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    transformers.VisualBertModel(transformers.VisualBertConfig(**sizes, intermediate_size=16)).save_pretrained(
        tmp_path
    )
    assert type(AutoModel.from_pretrained(tmp_path)) is transformers.VisualBertModel
    assert type(AutoConfig.from_pretrained(tmp_path)) is transformers.VisualBertConfig


@pytest.mark.parametrize(
    ("global_region", "counted"),
    [("first", True), ("first", False), ("last", True), ("last", False), (None, False)],
)
def test_the_loss_counts_the_labels_that_are_counted_for_it(global_region, counted):
    model = tiny_model(ViLBertForPreTraining, global_region=global_region, global_region_loss=counted)
    inputs, labels = tiny_inputs(), tiny_labels(regions=True)
    kept = places(inputs, "regions")
    if global_region is not None and not counted:
        labels["region_labels"] = kept.long()
        with pytest.raises(ValueError, match="region_labels of rows .* global_region_loss False"):
            model(**inputs, **labels)
        for row, regions in enumerate(kept.sum(1)):
            kept[row, 0 if global_region == "first" else regions - 1] = False
    labels["region_labels"] = torch.where(kept, 1, -100)
    loss = model(**inputs, **labels).region_loss
    logits = model(**inputs).region_logits["kl"][kept].log_softmax(-1)
    target = labels["region_class_probs"][kept]
    torch.testing.assert_close(loss, (target * (target.log() - logits)).sum() / kept.sum())
    counts = count_labels(labels)
    assert counts["region"] == kept.sum()
    torch.testing.assert_close(model(**inputs, **labels, loss_denominators=counts).region_loss, loss)


def test_region_labels_without_their_targets_name_what_is_missing():
    labels = tiny_labels(regions=True)
    del labels["region_class_probs"]
    with pytest.raises(ValueError, match=r"\['kl'\] also read \['region_class_probs'\]"):
        tiny_model(ViLBertForPreTraining)(**tiny_inputs(), **labels)
    with pytest.raises(ValueError, match="region_targets are empty"):
        tiny_model(VisualBertForPreTraining)(**tiny_inputs(), region_labels=labels["region_labels"])
