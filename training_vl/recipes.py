"""Command lines and YAML recipes: groups of arguments as dataclasses whose docstrings are the help texts."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from transformers import HfArgumentParser

from datasets_vl.command_line import CommandLine, did_you_mean

RECIPE_SUFFIXES = (".yaml", ".yml")

_ENTRY = re.compile(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", re.MULTILINE)
_Class = TypeVar("_Class", bound=type)


def described(cls: _Class) -> _Class:
    """Give every field of a class with an `Args:` section its entry there as help text of the command line."""
    entries = dict(_ENTRY.findall(inspect.cleandoc(cls.__doc__).partition("Args:\n")[2]))
    for name in cls.__annotations__:
        text = " ".join(entries[name].split()).replace("%", "%%")
        setattr(cls, name, dataclasses.field(default=getattr(cls, name), metadata={"help": text}))
    return cls


class ArgumentGroup:
    """A group of arguments that knows which of them were typed.

    Attributes:
        typed: Names of the fields that stood on the command line; not those of a recipe.
    """

    typed: frozenset[str] = frozenset()


class _Formatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description, and tells defaults."""


class _GroupParser(CommandLine, HfArgumentParser):
    """A command line whose options are the fields of dataclasses."""

    def typed(self, words: Sequence[str]) -> frozenset[str]:
        """Names of the fields that the words set."""
        known = self._option_string_actions
        return frozenset(known[name].dest for word in words if (name := word.partition("=")[0]) in known)


def parse_groups(groups: Sequence[type], arguments: Sequence[str], *, description: str | None = None) -> list[Any]:
    """Read a command line `[RECIPE.yaml] [--name value ...]`; what stands on it wins over the recipe.

    Args:
        groups: Dataclasses whose fields are the arguments.
        arguments: The words of the command line, without the program.
        description: Text above the list of arguments in the help.

    Returns:
        An instance of every group; an `ArgumentGroup` knows what was typed.

    Raises:
        FileNotFoundError: If there is no such recipe.
        ValueError: If the recipe names something unknown or has an impossible value (the message names key and file),
            or if arguments contradict each other.
    """
    parser = _GroupParser(
        description,
        dataclass_types=groups,
        usage="%(prog)s [RECIPE.yaml] [--name value ...]",
        formatter_class=_Formatter,
    )
    parser.add_argument(
        "recipe",
        nargs="?",
        default=argparse.SUPPRESS,
        metavar="RECIPE.yaml",
        help="arguments by name, a line each: 'max_steps: 1000'; what stands on the command line wins over them",
    )
    typed = list(arguments)
    recipe_words: list[str] = []
    if typed and typed[0].endswith(RECIPE_SUFFIXES):
        recipe_words = _recipe_words(Path(typed.pop(0)), parser)
    parsed, unknown = parser.parse_known_args([*recipe_words, *typed])
    values = vars(parsed)
    stray = [*([values["recipe"]] if "recipe" in values else []), *unknown]
    if stray:
        parser.error(f"{' '.join(stray)} belongs to no option; a recipe ends with .yaml and comes first")
    made = [group(**{field.name: values[field.name] for field in dataclasses.fields(group)}) for group in groups]
    for group in made:
        if isinstance(group, ArgumentGroup):
            group.typed = parser.typed(typed)
    return made


def _recipe_words(path: Path, parser: HfArgumentParser) -> list[str]:
    """The recipe as words of a command line, so that both are checked by the same rules."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no recipe {path}")
    try:
        recipe = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from None
    if not isinstance(recipe, dict):
        raise ValueError(f"{path} must map argument names to values, got {type(recipe).__name__}")
    known = [field.name for group in parser.dataclass_types for field in dataclasses.fields(group)]
    for key in recipe:
        if key not in known:
            raise ValueError(f"{path}: there is no argument {key}{did_you_mean(str(key), known)}")
    words = []
    parser.exit_on_error = False
    for key, value in recipe.items():
        if value is None:
            continue
        if isinstance(value, list):
            of_key = [f"--{key}", *(str(item) for item in value)]
        else:
            # With "=": a value may begin with a dash.
            of_key = [f"--{key}={json.dumps(value) if isinstance(value, dict | bool) else value}"]
        words += of_key
        try:
            parser.parse_known_args(of_key)
        except argparse.ArgumentError as error:
            raise ValueError(f"{path}: {error}") from None
    parser.exit_on_error = True
    return words
