"""The command line converts a checkpoint to a folder that the Auto classes load."""

from __future__ import annotations

import json
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForPreTraining, AutoProcessor, BertTokenizer

import modeling_vl
from hub_cards.model_tasks import loading_code
from modeling_vl.conversion import CODE_BASES
from modeling_vl.conversion.folder import read_conversion_record
from tests.modeling_vl.conversion.small_checkpoints import FINE_TUNED, checkpoint, code_base_name, convert_small

SCRIPT = Path(__file__).parents[2] / "examples" / "convert_checkpoint.py"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "cat", "dog"]


def run(*arguments):
    return subprocess.run([sys.executable, str(SCRIPT), *map(str, arguments)], capture_output=True, text=True)


@pytest.fixture
def vocabulary(tmp_path):
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(WORDS) + "\n")
    return path


@pytest.mark.parametrize(
    ("kind", "file", "expected"),
    [
        ("vilbert_beta", "state.tar", modeling_vl.ViLBertForPreTraining),
        ("uclanlp", "model.th", modeling_vl.VisualBertForPreTraining),
    ],
)
def test_from_file_to_loadable_folder(kind, file, expected, tmp_path, vocabulary):
    config, state = checkpoint(kind)
    whole = {"model_state_dict": {f"module.{name}": tensor for name, tensor in state.items()}, "global_step": 4}
    torch.save(whole if file.endswith("tar") else state, tmp_path / file)
    (tmp_path / "config.json").write_text("// as published\n" + json.dumps(config))
    folder = tmp_path / "converted"
    done = run(
        *("--source", code_base_name(kind), "--checkpoint", tmp_path / file, "--config", tmp_path / "config.json"),
        *("--tokenizer", vocabulary, "--output", folder),
    )
    assert done.returncode == 0, done.stderr
    assert f"-> {expected.__name__}: " in done.stdout
    assert "0 missing, 0 unexpected" in done.stdout

    model = AutoModelForPreTraining.from_pretrained(folder)
    assert type(model) is expected
    stored, wanted = model.state_dict(), convert_small(kind, config, state).state
    assert {name for name in wanted if not torch.equal(stored[name], wanted[name])} == set()
    processor = AutoProcessor.from_pretrained(folder)
    assert processor("a cat")["input_ids"].tolist() == [[2, 5, 6, 3]]
    assert processor.feature_extractor.visual_embedding_dim == model.config.visual_embedding_dim
    record = read_conversion_record(folder)
    assert (record.code_base, record.checkpoint, record.architecture) == (
        CODE_BASES[code_base_name(kind)].name,
        file,
        expected.__name__,
    )
    report = convert_small(kind, config, state).report
    counts = len(report.renamed), len(report.dropped), len(report.filled)
    assert (record.renamed, record.dropped, record.filled) == counts
    assert set(report.notes) <= set(record.notes)


@pytest.fixture
def run_here(monkeypatch, capsys):
    """The script in this process, which saves the imports: exit status or message, and what it printed."""

    def run_script(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        try:
            runpy.run_path(str(SCRIPT), run_name="__main__")
        except SystemExit as stop:
            return stop.code, capsys.readouterr().out
        return 0, capsys.readouterr().out

    return run_script


def test_without_a_tokenizer_and_with_a_tokenizer_folder(tmp_path, vocabulary, run_here):
    config, state = checkpoint("transformers")
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = ("--source", "transformers", "--checkpoint", tmp_path, "--config", tmp_path)
    assert run_here(*arguments, "--output", tmp_path / "bare")[0] == 0
    names = {path.name for path in (tmp_path / "bare").iterdir() if path.suffix != ".py"}  # its code travels along
    assert names == {"config.json", "model.safetensors", "preprocessor_config.json", "conversion.json"}
    assert "bare is not empty: name a new folder" in run_here(*arguments, "--output", tmp_path / "bare")[0]
    BertTokenizer(vocab=str(vocabulary)).save_pretrained(tmp_path / "tokenizer")
    assert run_here(*arguments, "--tokenizer", tmp_path / "tokenizer", "--output", tmp_path / "whole")[0] == 0
    assert AutoProcessor.from_pretrained(tmp_path / "whole")("dog")["input_ids"].tolist() == [[2, 7, 3]]


def test_a_tokenizer_that_knows_more_words_than_the_model(tmp_path, run_here):
    config, state = checkpoint("transformers")
    torch.save(state, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "vocab.txt").write_text("\n".join(WORDS + [f"w{n}" for n in range(config["vocab_size"])]))
    arguments = ("--source", "transformers", "--checkpoint", tmp_path, "--config", tmp_path)
    status, _ = run_here(*arguments, "--tokenizer", tmp_path / "vocab.txt", "--output", tmp_path / "out")
    assert f"knows {len(WORDS) + config['vocab_size']} word pieces, the model only {config['vocab_size']}" in status
    assert not (tmp_path / "out").exists()


def test_what_does_not_fit_is_reported_and_nothing_is_written(tmp_path, run_here):
    config, state = checkpoint("vilbert_beta")
    state["surprise"] = torch.zeros(1)
    torch.save(state, tmp_path / "w.bin")
    (tmp_path / "c.json").write_text(json.dumps(config))
    output = tmp_path / "out"
    status, printed = run_here(
        *("--source", "vilbert_beta", "--checkpoint", tmp_path / "w.bin", "--config", tmp_path / "c.json"),
        *("--output", output),
    )
    assert status.startswith("ConversionError: the checkpoint does not fit vilbert_beta")
    assert "unexpected  surprise" in printed
    assert not output.exists()


def test_the_output_folder_is_looked_at_before_anything_is_read(tmp_path, run_here):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    arguments = ("--source", "vilbert_beta", "--checkpoint", tmp_path / "no.bin", "--config", tmp_path / "no.json")
    assert run_here(*arguments, "--output", tmp_path / "out")[0] == (
        f"FileExistsError: {tmp_path / 'out'} is not empty: name a new folder"
    )
    assert "no.json" in run_here(*arguments, "--output", tmp_path / "new")[0]


@pytest.fixture
def pretrained(tmp_path):
    """Writes a VisualBERT checkpoint and its config with more fields; the script's arguments that name them."""

    def write(kind, **fields):
        config, state = checkpoint(kind)
        torch.save(state, tmp_path / "pytorch_model.bin")
        (tmp_path / "config.json").write_text(json.dumps({**config, **fields}))
        return (
            *("--source", code_base_name(kind), "--checkpoint", tmp_path / "pytorch_model.bin"),
            *("--config", tmp_path / "config.json", "--output", tmp_path / "out"),
        )

    return write


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("transformers", (), 1),
        ("transformers", ("--visual-token-type-id", "0"), 0),
        ("uclanlp", (), 0),
        ("uclanlp", ("--visual_token_type_id", "1"), 1),
    ],
)
def test_the_token_type_of_regions(kind, options, expected, pretrained, run_here, tmp_path):
    status, printed = run_here(*pretrained(kind), *options)
    assert status == 0
    assert "visual_token_type_id is unknown" not in printed
    assert json.loads((tmp_path / "out" / "config.json").read_text())["visual_token_type_id"] == expected


def test_a_token_type_against_the_config_or_of_another_code_base(pretrained, fine_tuned, run_here, tmp_path):
    option = ("--visual-token-type-id", "0")
    assert run_here(*pretrained("transformers", visual_token_type_id=1), *option)[0].startswith(
        f"ValueError: {tmp_path / 'config.json'} says visual_token_type_id=1: leave --visual-token-type-id 0 out"
    )
    assert run_here(*fine_tuned("vilbert_multi_task"), *option)[0] == (
        "ValueError: --visual-token-type-id goes with --source transformers or uclanlp: leave it out"
    )
    assert not (tmp_path / "out").exists()


def test_names_that_stay_are_counted_and_not_listed(pretrained, run_here):
    config, state = checkpoint("transformers")
    _, printed = run_here(*pretrained("transformers"))
    renamed = [line.split() for line in printed.splitlines() if line.startswith("  renamed ")]
    assert all(name != target for _, name, _, target in renamed)
    assert f": {len(renamed)} renamed, " in printed
    kept = int(printed.partition(" renamed, ")[2].partition(" kept")[0])
    dropped = int(printed.partition(" kept, ")[2].partition(" dropped")[0])
    assert kept > 10 and len(renamed) + kept + dropped == len(state)


@pytest.fixture
def fine_tuned(tmp_path, vocabulary):
    """Writes a fine-tuned checkpoint; the script's arguments that name it."""

    def write(kind):
        config, state = checkpoint(kind, FINE_TUNED)
        torch.save(state, tmp_path / "w.bin")
        (tmp_path / "c.json").write_text(json.dumps(config))
        return (
            *("--source", code_base_name(kind), "--checkpoint", tmp_path / "w.bin", "--config", tmp_path / "c.json"),
            *("--tokenizer", vocabulary, "--output", tmp_path / "out"),
        )

    return write


def load_as_the_card_says(folder):
    """The model that the code in the folder's card loads, together with its processor."""
    names = {}
    exec(loading_code(read_conversion_record(folder).architecture, str(folder), with_package=True), names)
    assert names["processor"]("a cat")["input_ids"].tolist() == [[2, 5, 6, 3]]
    return names["model"]


@pytest.mark.parametrize(
    ("kind", "task", "head", "expected"),
    [
        ("vilbert_multi_task", "vqa", None, modeling_vl.ViLBertForVisualQuestionAnswering),
        ("vilbert_multi_task", "multi_task", None, modeling_vl.ViLBertForMultiTask),
        ("volta_visualbert", "referring_expressions", "TASK18", modeling_vl.VisualBertForRegionGrounding),
        ("mmf_visualbert", "nlvr2", None, modeling_vl.VisualBertForSequenceClassification),
        ("uclanlp", "masked_lm", None, modeling_vl.VisualBertForMaskedLM),
        ("mmf_visualbert", None, None, modeling_vl.VisualBertModel),
    ],
)
def test_a_task_gives_a_folder_that_loads_as_its_card_says(kind, task, head, expected, fine_tuned, run_here, tmp_path):
    arguments = fine_tuned(kind)
    arguments += ("--task", task) if task else ()
    arguments += ("--head", head) if head else ()
    assert run_here(*arguments)[0] == 0
    model = load_as_the_card_says(tmp_path / "out")
    assert type(model) is expected
    stored = model.state_dict()
    wanted = convert_small(kind, *checkpoint(kind, FINE_TUNED), task=task, entry=head)
    assert {name for name in wanted.state if not torch.equal(stored[name], wanted.state[name])} == set()
    beside = dict.fromkeys(("architectures", "dtype", "_name_or_path", "auto_map", "custom_pipelines"))
    saved, given = (json.loads(c.to_json_string(use_diff=False)) | beside for c in (model.config, wanted.config))
    assert saved == given


def test_answers_have_the_names_of_the_labels_file(fine_tuned, run_here, tmp_path):
    arguments = fine_tuned("vilbert_multi_task")
    state = checkpoint("vilbert_multi_task", FINE_TUNED)[1]
    answers = [f"answer {number}" for number in range(len(state["vil_prediction.logit_fc.3.bias"]))]
    (tmp_path / "answers.txt").write_text("\n".join(answers) + "\n")
    options = ("--task", "vqa", "--labels", tmp_path / "answers.txt")
    assert run_here(*arguments, *options)[0] == 0
    model = load_as_the_card_says(tmp_path / "out")
    inputs = AutoProcessor.from_pretrained(tmp_path / "out")("a cat")
    regions = torch.randn(1, 3, model.config.visual_embedding_dim)
    locations = torch.rand(1, 3, model.config.visual_location_size)
    [[best, second]] = model.predict(**inputs, visual_embeds=regions, visual_locations=locations, top_k=2)
    assert {best["answer"], second["answer"]} <= set(answers)
    assert best["score"] >= second["score"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--task", "vcr_qa"), "vilbert-multi-task has no head for task 'vcr_qa'; its tasks are vqa, gqa, nlvr2"),
        (("--task", "vqa", "--head", "TASK1"), "no entry 'TASK1' can be chosen"),
        (("--task", "vqa", "--labels", "nowhere.txt"), "No such file or directory: 'nowhere.txt'"),
    ],
)
def test_tasks_and_heads_that_are_not_there(options, message, fine_tuned, run_here, tmp_path):
    status, _ = run_here(*fine_tuned("vilbert_multi_task"), *options)
    assert message in status
    assert not (tmp_path / "out").exists()
