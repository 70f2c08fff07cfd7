"""Templates of cards: Markdown with Jinja fields, as `huggingface_hub` writes its own."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import CardData, RepoCard
from jinja2 import Environment, FileSystemLoader, StrictUndefined

TEMPLATES = Path(__file__).parent / "templates"

Card = TypeVar("Card", bound=RepoCard)


@cache
def _environment() -> Environment:
    # `RepoCard.from_template` prints nothing where a template names something that is not there; here it is an error.
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(card_class: type[Card], template: str, card_data: CardData, **values: Any) -> Card:
    """Write a card.

    Args:
        card_class: Of `huggingface_hub`: `ModelCard`, `DatasetCard` or `SpaceCard`.
        template: Name of the template's file.
        card_data: The metadata at its head, `{{ card_data }}`.
        **values: What the template names.

    Returns:
        The card.
    """
    text = fill_template(template, card_data=card_data.to_yaml(), **values)
    return card_class(re.sub(r"\n{3,}", "\n\n", text))


def fill_template(template: str, **values: Any) -> str:
    """The text of a `template`, by its file's name, with the values that it names."""
    return _environment().get_template(template).render(**values)


def citations(keys: Iterable[str]) -> str:
    """The BibTeX entries with these `keys`, in their order, each once."""
    text = (TEMPLATES / "citations.bib").read_text(encoding="utf-8")
    entries = {re.match(r"@\w+\{(\w+)", entry)[1]: entry.strip() for entry in re.split(r"\n(?=@)", text)}
    return "\n\n".join(entries[key] for key in dict.fromkeys(keys))
