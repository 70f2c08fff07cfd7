"""Golden files: the weights, inputs and outputs of public code bases, and which of them this suite compares."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from torch import Tensor

COMMITTED = Path(__file__).parent / "data"
"""A selection of the full set. Where a copy lacks something, its JSON file says what under "trimmed"."""

CODE_BASES = {
    r"vilbert_beta_[A-Z]\w*_(BertModel|BertForMultiModalPreTraining|VILBertForVLTasks)": "vilbert_beta",
    r"vilbert_beta_base_\w+_BaseBertForVLTasks": "vilbert_beta_base",
    r"vilbert_mt_[A-Z]\w*_(BertModel|BertForMultiModalPreTraining|VILBertForVLTasks)": "vilbert_multi_task",
    r"volta_\w+_(BertForVLPreTraining|BertForVLTasks)": "volta",
    r"mmf_\w+_(ViLBERT|VisualBERT)(ForPretraining|ForClassification_\w+)": "mmf",
    r"uclanlp_visualbert_[A-Z]\w*_(pretraining(_\w+)?|vqa|vqa_advanced|nlvr|multichoice|flickr)": "uclanlp",
    r"hf_visualbert_[A-Z]\w*_VisualBert(Model|For\w+)": "transformers",
}
"""Names of the files that are compared, with the key of `modeling_vl.conversion.CODE_BASES`."""

NOT_COMPARED = {
    r"data_\w+": "outputs of data loaders, held against the collator and the readers by their own tests",
}
"""Names of the files that this suite leaves out, and why."""


class GoldenFile(NamedTuple):
    """What one code base computed.

    Attributes:
        name: File name without its end.
        code_base: Key of `modeling_vl.conversion.CODE_BASES`.
        weights: State dict under its original names.
        inputs: Inputs by their original names.
        outputs: Outputs by name; the losses that only the JSON file has are `losses.<name>`.
        meta: The JSON file.
    """

    name: str
    code_base: str
    weights: dict[str, Tensor]
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    meta: Mapping[str, Any]

    @property
    def config(self) -> dict[str, Any]:
        """The model's config as the code base takes it."""
        return self.meta.get("config") or {**self.meta["bert_config"], **self.meta["model_config"]}


def code_base_of(name: str) -> str | None:
    """The code base of a file that is compared; None for one that is left out with a reason.

    Raises:
        ValueError: For a name that is in neither list, so that no file is skipped by accident.
    """
    found = [code_base for pattern, code_base in CODE_BASES.items() if re.fullmatch(pattern, name)]
    if found:
        return found[0]
    reason_not_compared(name)
    return None


def reason_not_compared(name: str) -> str:
    """Why a file is left out.

    Raises:
        ValueError: When nobody says why.
    """
    for pattern, reason in NOT_COMPARED.items():
        if re.fullmatch(pattern, name):
            return reason
    raise ValueError(f"no rule says what to do with the golden file {name}: extend tests/golden/fixtures.py")


def names_in(folder: Path) -> list[str]:
    """All golden files of a folder."""
    return sorted(path.stem for path in folder.glob("*.safetensors"))


def stores(folder: Path, name: str, key: str) -> bool:
    """Whether a golden file's JSON part has a key."""
    return key in json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def load(folder: Path, name: str) -> GoldenFile:
    """Read one golden file."""
    tensors = load_file(folder / f"{name}.safetensors")
    meta = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))

    def part(prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}

    outputs = part("outputs/")
    for key, values in meta["losses"].items():
        outputs[f"losses.{key}"] = torch.tensor(values)
    return GoldenFile(name, code_base_of(name) or "", part("weights/"), part("inputs/"), outputs, meta)
