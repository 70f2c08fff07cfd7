"""The parity line of converted models is what docs/parity.md says of their code base."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_cards.parity import DOCUMENT, parity_with
from modeling_vl.conversion import CODE_BASES

TEXT = """\
| golden file | states | eager, padded | sdpa, packed |
| --- | --- | --- | --- |
| `vilbert_beta_A_BertModel` | 2 | 2.9e-06 | 3.0e-06 |
| `vilbert_beta_B_BertModel` | 2 | 1.1e-05 | 9.0e-07 |
| `vilbert_beta_base_A_BaseBertForVLTasks` | 1 | 9.9e-06 | 9.9e-06 |
| `volta_vilbert_A_BertForVLTasks` | 1 | 5.0e-06 | 4.0e-06 |
| `volta_visualbert_A_BertForVLTasks` | 1 | 2.0e-06 | 4.5e-06 |

| code base | its class |
| --- | --- |
| `vilbert_beta_A_` | `9.9e-01` |
"""


@pytest.mark.parametrize(
    ("code_base", "model_type", "expected"),
    [
        ("vilbert_beta", "vilbert", (2, "1.1e-05")),
        ("vilbert_beta basebert.py", "vilbert", (1, "9.9e-06")),
        ("volta", "vilbert", (1, "5.0e-06")),
        ("volta", "visualbert", (1, "4.5e-06")),
        ("mmf", "visualbert", None),
        ("a code base of a later version", "vilbert", None),
    ],
)
def test_files_and_largest_difference_of_a_code_base(
    code_base: str, model_type: str, expected: tuple[int, str] | None, tmp_path: Path
) -> None:
    document = tmp_path / "parity.md"
    document.write_text(TEXT)
    assert parity_with(code_base, model_type, document) == expected


def test_an_installed_package_has_no_document(tmp_path: Path) -> None:
    assert parity_with("mmf", "vilbert", tmp_path / "parity.md") is None


@pytest.mark.parametrize("code_base", [code_base.name for code_base in CODE_BASES.values()])
def test_the_real_document_has_every_code_base(code_base: str) -> None:
    found = [parity_with(code_base, model_type, DOCUMENT) for model_type in ("vilbert", "visualbert")]
    assert any(found)
    assert all(parity is None or float(parity.largest) <= 1e-5 for parity in found)
