"""LoRA adapters of PEFT on both models: trained, saved with what loading them needs, loaded elsewhere, merged."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import AutoConfig, AutoModelForVisualQuestionAnswering

from modeling_vl import AutoModelForPhraseGrounding
from tests.tiny_tasks import both, save_pretrained_models, task_inputs, task_labels

ATTENTION = r".*\.self\.(query|key|value)"
"""All attention of the layers, co-attention included, and not the head of phrase grounding."""

LOAD_ELSEWHERE = """
import sys

import torch
from peft import PeftConfig, PeftModel
from transformers import AutoConfig, AutoModelForVisualQuestionAnswering

import modeling_vl

folder = sys.argv[1]
base = AutoModelForVisualQuestionAnswering.from_pretrained(
    PeftConfig.from_pretrained(folder).base_model_name_or_path, config=AutoConfig.from_pretrained(folder)
)
model = PeftModel.from_pretrained(base, folder).eval()
with torch.no_grad():
    torch.save(model(**torch.load(sys.argv[2])).logits, sys.argv[3])
"""


@pytest.fixture(scope="module")
def bases(tmp_path_factory):
    return save_pretrained_models(tmp_path_factory.mktemp("pretrained"))


def train(model, batch, steps=4):
    """Losses of some steps."""
    optimizer = torch.optim.AdamW([x for x in model.parameters() if x.requires_grad], lr=1e-2)
    losses = []
    for _ in range(steps):
        loss = model(**batch).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return losses


@both
def test_adapter_and_head_are_trained_saved_and_loaded(model, bases, tmp_path):
    base = AutoModelForVisualQuestionAnswering.from_pretrained(bases[model], num_labels=5)
    adapted = get_peft_model(base, LoraConfig(r=4, target_modules=ATTENTION, modules_to_save=["cls"]))
    trained = {name for name, parameter in adapted.named_parameters() if parameter.requires_grad}
    heads = {name for name in trained if ".cls.modules_to_save." in name}
    lora = trained - heads
    attentions = {
        name.rpartition(".")[0] for name, _ in base.named_modules() if name.endswith(".self.query.base_layer")
    }
    assert heads and len(lora) == len(attentions) * 3 * 2
    assert all(".lora_" in name for name in lora)
    batch = {**task_inputs("VisualQuestionAnswering"), **task_labels("VisualQuestionAnswering")}
    losses = train(adapted, batch)
    assert losses == sorted(losses, reverse=True) and losses[-1] < losses[0] - 0.1

    adapted.eval().save_pretrained(tmp_path / "adapter")
    adapted.config.save_pretrained(tmp_path / "adapter")
    inputs = task_inputs("VisualQuestionAnswering")
    torch.save(inputs, tmp_path / "inputs.pt")
    words = [tmp_path / "adapter", tmp_path / "inputs.pt", tmp_path / "logits.pt"]
    done = subprocess.run([sys.executable, "-c", LOAD_ELSEWHERE, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with torch.no_grad():
        expected = adapted(**inputs).logits
        torch.testing.assert_close(torch.load(tmp_path / "logits.pt"), expected, rtol=0, atol=0)
        merged = adapted.merge_and_unload()
        torch.testing.assert_close(merged(**inputs).logits, expected, rtol=0, atol=1e-5)
        merged.save_pretrained(tmp_path / "merged")
        alone = AutoModelForVisualQuestionAnswering.from_pretrained(tmp_path / "merged").eval()
        torch.testing.assert_close(alone(**inputs).logits, expected, rtol=0, atol=1e-5)


@both
def test_the_head_of_phrase_grounding_is_saved_by_its_layers(model, bases, tmp_path):
    """Its name, `attention`, is also that of a part of every layer."""
    base = AutoModelForPhraseGrounding.from_pretrained(bases[model])
    head = ["attention.query", "attention.key"]
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=ATTENTION, modules_to_save=head))
    saved = {
        name.partition(".modules_to_save")[0] for name, _ in adapted.named_modules() if ".modules_to_save" in name
    }
    assert saved == {f"base_model.model.{name}" for name in head}
    train(adapted, {**task_inputs("PhraseGrounding"), **task_labels("PhraseGrounding")}, steps=1)
    adapted.eval().save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(bases[model])
    fresh = PeftModel.from_pretrained(
        AutoModelForPhraseGrounding.from_pretrained(bases[model], config=config), tmp_path
    )
    inputs = task_inputs("PhraseGrounding")
    with torch.no_grad():
        assert torch.equal(fresh.eval()(**inputs).logits, adapted(**inputs).logits)


@both
def test_checkpointed_layers_train_adapters_too(model, bases):
    """No base parameter needs a gradient, so the first layer's input has to."""
    base = AutoModelForVisualQuestionAnswering.from_pretrained(bases[model], num_labels=5)
    adapted = get_peft_model(base, LoraConfig(r=2, target_modules=ATTENTION, modules_to_save=["cls"]))
    batch = {**task_inputs("VisualQuestionAnswering"), **task_labels("VisualQuestionAnswering")}
    gradients = []
    for checkpointed in (False, True):
        if checkpointed:
            adapted.gradient_checkpointing_enable({"use_reentrant": False})
        adapted.zero_grad()
        torch.manual_seed(0)  # of dropout
        adapted.train()(**batch).loss.backward()
        gradients.append({name: x.grad.clone() for name, x in adapted.named_parameters() if x.requires_grad})
    torch.testing.assert_close(*gradients, rtol=0, atol=1e-6)
