"""How closely models converted from a code base were seen to compute what that code base computes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from modeling_vl.conversion import CODE_BASES

DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "parity.md"

_FILES = {
    "vilbert_beta": r"vilbert_beta_[A-Z]_",
    "vilbert_beta_base": r"vilbert_beta_base_",
    "vilbert_multi_task": r"vilbert_mt_",
    "volta": r"volta_",
    "mmf": r"mmf_",
    "uclanlp": r"uclanlp_",
    "transformers": r"hf_",
}
"""By key of `CODE_BASES`, how the names of its recorded files begin."""

_ROW = re.compile(r"^\| `(\w+)` \|((?: [\d.e+-]+ \|)+)$", re.MULTILINE)
_DIFFERENCE = re.compile(r"\d\.\de[+-]\d+")


class Parity(NamedTuple):
    """What the parity document says of a code base.

    Attributes:
        files: Recorded files that were compared.
        largest: The largest absolute difference among all their outputs, as it is printed there.
    """

    files: int
    largest: str


def parity_with(code_base: str, model_type: str, document: Path = DOCUMENT) -> Parity | None:
    """What the parity document says.

    Args:
        code_base: Name of the code base, as a conversion records it.
        model_type: "vilbert" or "visualbert"; some code bases have both.
        document: The document. An installed package has none.

    Returns:
        How many files were compared and what their largest difference was; None where there is no document, or nothing
        of this code base and model in it.
    """
    key = next((key for key, known in CODE_BASES.items() if known.name == code_base), None)
    if key is None or not document.is_file():
        return None
    differences = [
        found
        for name, cells in _ROW.findall(document.read_text(encoding="utf-8"))
        if re.match(_FILES[key], name) and model_type == ("visualbert" if "visualbert" in name else "vilbert")
        if (found := _DIFFERENCE.findall(cells))
    ]
    if not differences:
        return None
    return Parity(len(differences), max((one for row in differences for one in row), key=float))
