"""What a card says that no file can know: fields that are filled from facts, by a person, or refuse the card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from datasets_vl.command_line import did_you_mean

OTHER = "other"
"""The Hub's identifier of a licence that is not in its list."""

_PLACEHOLDER = re.compile(r"[\W_]*(todo|tbd|fixme|xxx|(more )?information needed)?[\W_]*", re.IGNORECASE)
"""A text that says nothing: "", "...", "TODO", "[More Information Needed]"."""


class UnfilledCard(ValueError):
    """A card with fields that nothing fills.

    Args:
        subject: What the card is of.
        fields: Those that are unfilled.
    """

    def __init__(self, subject: str, fields: Sequence[Field]) -> None:
        count = "1 field is" if len(fields) == 1 else f"{len(fields)} fields are"
        lines = [f"the card of {subject} is not written, {count} unfilled:"]
        lines += [f"  {field.name}: {field.what}" for field in fields]
        options = " ".join(f"--{field.name} ..." for field in fields)
        lines.append(f"give them on the command line ({options}) or by these names in a YAML file (--facts card.yaml)")
        super().__init__("\n".join(lines))
        self.names = [field.name for field in fields]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One thing a card says.

    Attributes:
        name: Its name on the command line and in files of facts.
        what: What it says, for help texts and errors.
        several: Whether it is a list.
        needed: Whether a card without it is refused.
        needed_for: Another field and its value that make this one needed.
    """

    name: str
    what: str
    several: bool = False
    needed: bool = True
    needed_for: tuple[str, str] | None = None


def licence_fields(name: str, what: str) -> tuple[Field, ...]:
    """A licence as the Hub's metadata have it.

    Args:
        name: Of the field.
        what: Is under this licence.

    Returns:
        The identifier, and the name and the link of a licence that has none.
    """
    asked = {"needed": False, "needed_for": (name, OTHER)}
    return (
        Field(name=name, what=f"licence of {what}, an identifier of the Hub such as apache-2.0, cc-by-4.0 or other"),
        Field(name=f"{name}_name", what=f"short name of the licence of {what}, where it is other", **asked),
        Field(name=f"{name}_link", what=f"address of the licence of {what}, where it is other", **asked),
    )


def licence_metadata(values: Mapping[str, Any], name: str) -> dict[str, str]:
    """The entries of a card's metadata for a licence.

    Args:
        values: Of the card's fields.
        name: Of the field made by `licence_fields`.

    Returns:
        `license`, for one that is not in the Hub's list with `license_name` and `license_link`.
    """
    if values[name] != OTHER:
        return {"license": values[name]}
    return {"license": OTHER, "license_name": values[f"{name}_name"], "license_link": values[f"{name}_link"]}


def licence_text(values: Mapping[str, Any], name: str) -> str:
    """A licence of the card's `values` for its readers; `name` is that of the field made by `licence_fields`."""
    if values[name] != OTHER:
        return values[name]
    return f"[{values[f'{name}_name']}]({values[f'{name}_link']})"


def fill(
    fields: Sequence[Field], known: Mapping[str, Any], given: Mapping[str, Any], subject: str | Path
) -> dict[str, Any]:
    """Fill the fields of a card.

    Args:
        fields: Of the card.
        known: What files say, by name of the field. What is given wins.
        given: What a person says, by name of the field.
        subject: What the card is of.

    Returns:
        A value for every field; None (or an empty list) for those that may be left out and are.

    Raises:
        UnfilledCard: Naming the fields that nothing fills, placeholders included.
    """
    values: dict[str, Any] = {}
    for field in fields:
        value = next((v for v in (given.get(field.name), known.get(field.name)) if _says_something(v)), None)
        values[field.name] = [] if field.several and value is None else value
    unfilled = [
        field
        for field in fields
        if not _says_something(values[field.name])
        and (field.needed or (field.needed_for and values[field.needed_for[0]] == field.needed_for[1]))
    ]
    if unfilled:
        raise UnfilledCard(str(subject), unfilled)
    return values


def _says_something(value: Any) -> bool:
    if isinstance(value, str):
        return _PLACEHOLDER.fullmatch(value) is None
    if isinstance(value, Sequence):
        return bool(value) and all(map(_says_something, value))
    return value is not None


def read_facts(path: str | Path, fields: Sequence[Field]) -> dict[str, Any]:
    """Read a YAML file that fills fields.

    Args:
        path: The file.
        fields: Those that it may fill.

    Returns:
        Values by name of the field.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no YAML mapping, names an unknown field, or a value is no text (or list of texts).
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of facts {path}")
    try:
        facts = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path} is no YAML: {error}") from None
    if not isinstance(facts, dict):
        raise ValueError(f"{path} must map names of fields to what the card shall say, got {type(facts).__name__}")
    by_name = {field.name: field for field in fields}
    for name, value in facts.items():
        if name not in by_name:
            raise ValueError(f"{path}: this card has no field {name}{did_you_mean(str(name), by_name)}")
        facts[name] = _checked(value, by_name[name], path)
    return facts


def _checked(value: Any, field: Field, path: Path) -> Any:
    """A value of a file of facts; one text will do for a list."""
    if field.several:
        value = [value] if isinstance(value, str) else value
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        raise ValueError(f"{path}: {field.name} must be a list of texts, got {value!r}")
    if value is None or isinstance(value, str):
        return value
    raise ValueError(f"{path}: {field.name} must be a text, got {value!r}: put it in quotation marks")
