from __future__ import annotations

import argparse
import subprocess
import sys

import pytest

from datasets_vl.command_line import CommandLine, did_you_mean, tells_mistakes


def parser() -> CommandLine:
    line = CommandLine("What it does.\n\n    as an example")
    line.add_argument("source")
    line.add_argument("--num-proc", type=int)
    line.add_argument("--max_text_length", type=int)
    line.add_argument("--format", required=True)
    return line


@pytest.mark.parametrize(
    "words",
    [
        ["--num-proc", "2", "--max-text-length", "7"],
        ["--num_proc", "2", "--max_text_length", "7"],
        ["--num_proc=2", "--max-text-length=7"],
    ],
)
def test_hyphens_and_underscores_are_the_same(words: list[str]) -> None:
    values = parser().parse_args(["in", "--format=a_b-c", *words])
    assert (values.num_proc, values.max_text_length, values.format) == (2, 7, "a_b-c")


def test_words_that_are_no_options_are_left_alone() -> None:
    values = parser().parse_args(["--format", "x", "--", "--num_proc"])
    assert values.source == "--num_proc"
    assert parser().parse_args(["in_put", "--format", "-1"]).format == "-1"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("--fromat", "there is no option --fromat; did you mean --format?"),
        ("--num_porc=2", "there is no option --num_porc; did you mean --num-proc?"),
        ("--num", "there is no option --num"),  # no abbreviations
        ("--xyzzy", "there is no option --xyzzy\n"),
    ],
)
def test_a_misspelt_option_is_told_before_anything_else(
    word: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args([word])  # format and source are missing as well
    assert caught.value.code == 2
    assert hint in capsys.readouterr().err


def test_commands_know_their_own_options(capsys: pytest.CaptureFixture[str]) -> None:
    line = CommandLine()
    line.add_subparsers(dest="task").add_parser("vqa").add_argument("--min-count", type=int)
    assert line.parse_args(["vqa", "--min_count", "3"]) == argparse.Namespace(task="vqa", min_count=3)
    with pytest.raises(SystemExit):
        line.parse_args(["vqa", "--min-cuont", "3"])
    assert "vqa: error: there is no option --min-cuont; did you mean --min-count?" in capsys.readouterr().err


def test_the_description_keeps_its_lines() -> None:
    assert "What it does.\n\n    as an example\n" in parser().format_help()


def test_a_hint_is_given_only_where_a_word_is_close() -> None:
    assert did_you_mean("--spilt", ["--split", "--seed"]) == "; did you mean --split?"
    assert did_you_mean("--spilt", ["--regions"]) == ""


def test_mistakes_end_in_one_line_and_ctrl_c_in_130(capsys: pytest.CaptureFixture[str]) -> None:
    def end(error: BaseException) -> object:
        with pytest.raises(SystemExit) as caught, tells_mistakes(ValueError, interrupted="start again"):
            raise error
        return caught.value.code

    assert end(ValueError("too small")) == "ValueError: too small"
    assert end(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "\nstart again\n"
    with pytest.raises(TypeError, match="a bug"), tells_mistakes(ValueError, interrupted=""):
        raise TypeError("a bug")


def test_it_needs_no_torch() -> None:
    code = "import sys, datasets_vl.command_line; print({'torch', 'numpy', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
