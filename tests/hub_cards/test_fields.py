"""A field is filled by a file or by a person; a card with one that is not is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_cards.asked import DATASET, METRIC, MODEL, PARITY, SCORES, SPACE
from hub_cards.fields import Field, UnfilledCard, fill, licence_fields, licence_metadata, licence_text, read_facts

FIELDS = (
    *licence_fields("weights_license", "the weights"),
    Field(name="detector", what="where features come from"),
    Field(name="language", what="languages", several=True),
    Field(name="notes", what="more", needed=False),
)
GIVEN = {"weights_license": "mit", "detector": "a detector", "language": ["en"]}


def test_what_is_given_wins_over_what_is_known() -> None:
    values = fill(FIELDS, {"detector": "of the file", "weights_license": "cc0-1.0"}, {**GIVEN, "detector": None}, "x")
    assert values == {
        "weights_license": "mit",
        "weights_license_name": None,
        "weights_license_link": None,
        "detector": "of the file",
        "language": ["en"],
        "notes": None,
    }


@pytest.mark.parametrize("nothing", [None, "", " ", "...", "TODO", "[More Information Needed]", "tbd."])
def test_a_text_that_says_nothing_fills_nothing(nothing: str | None) -> None:
    with pytest.raises(UnfilledCard) as caught:
        fill(FIELDS, {}, {**GIVEN, "detector": nothing}, "runs/x")
    assert str(caught.value) == (
        "the card of runs/x is not written, 1 field is unfilled:\n"
        "  detector: where features come from\n"
        "give them on the command line (--detector ...) or by these names in a YAML file (--facts card.yaml)"
    )


def test_all_unfilled_fields_are_named_at_once() -> None:
    with pytest.raises(UnfilledCard) as caught:
        fill(FIELDS, {}, {"language": ["en", ""]}, "x")
    assert caught.value.names == ["weights_license", "detector", "language"]


def test_a_licence_that_the_hub_does_not_know_needs_a_name_and_a_link() -> None:
    with pytest.raises(UnfilledCard) as caught:
        fill(FIELDS, {}, {**GIVEN, "weights_license": "other"}, "x")
    assert caught.value.names == ["weights_license_name", "weights_license_link"]
    named = {"weights_license": "other", "weights_license_name": "own", "weights_license_link": "https://a.b/c"}
    values = fill(FIELDS, {}, {**GIVEN, **named}, "x")
    assert licence_text(values, "weights_license") == "[own](https://a.b/c)"
    metadata = {"license": "other", "license_name": "own", "license_link": "https://a.b/c"}
    assert licence_metadata(values, "weights_license") == metadata
    assert licence_metadata(fill(FIELDS, {}, GIVEN, "x"), "weights_license") == {"license": "mit"}


def test_a_file_of_facts(tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text("weights_license: mit\nlanguage: en\nnotes:\n")
    assert read_facts(path, FIELDS) == {"weights_license": "mit", "language": ["en"], "notes": None}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detektor: x", "this card has no field detektor; did you mean detector?"),
        ("detector: 3", "detector must be a text, got 3: put it in quotation marks"),
        ("language: [1]", r"language must be a list of texts, got \[1\]"),
        ("- detector", "must map names of fields to what the card shall say, got list"),
        ("detector: [", "is no YAML"),
    ],
)
def test_mistakes_in_a_file_of_facts(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "card.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_facts(path, FIELDS)


def test_the_documented_file_of_facts_is_one(tmp_path: Path) -> None:
    """It gives a trained model all that no file says."""
    text = (Path(__file__).parents[2] / "docs" / "hub.md").read_text(encoding="utf-8")
    path = tmp_path / "card.yaml"
    path.write_text(text.partition("```yaml\n")[2].partition("```")[0])
    of_files = {"training": "10 steps", "started_from": "fresh weights", "hardware": "CPU", "code_commit": "0123abc"}
    fields = [field for field in MODEL if field not in (PARITY, SCORES)]
    assert fill(fields, of_files, read_facts(path, MODEL), "x")["language"] == ["en"]


@pytest.mark.parametrize("fields", [MODEL, DATASET, METRIC, SPACE])
def test_what_cards_ask_for_has_one_name_each(fields: tuple[Field, ...]) -> None:
    names = [field.name for field in fields]
    assert len(set(names)) == len(names)
    assert {field.needed_for[0] for field in fields if field.needed_for} <= set(names)
