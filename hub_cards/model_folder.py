"""What a saved model's folder says of the model, without loading its weights."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from datasets_vl.manifest import MANIFEST_NAME, Manifest
from datasets_vl.parquet import RegionFeaturesMetadata
from modeling_vl.conversion.folder import ConversionRecord, read_conversion_record
from training_vl.run_record import RunRecord, read_run_record

from .model_tasks import architecture_of

_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
_PLACES = frozenset(
    {
        *("output_dir", "regions", "val_regions", "captions", "val_captions", "data", "cache_dir", "pool"),
        "resume_from_checkpoint",
    }
)
"""Arguments that say where something lies on the disk of whoever trained."""


@dataclass(frozen=True)
class ModelFolder:
    """A saved model.

    Attributes:
        path: The folder.
        config: Its `config.json`.
        architecture: Class of the model.
        parameters: Numbers in its weights, tied ones once.
        dtype: Type of most of them.
        run: Of the run that trained it; None where the folder does not say.
        conversion: Of the conversion that made it; None where there was none.
    """

    path: Path
    config: dict[str, Any]
    architecture: str
    parameters: int
    dtype: str
    run: RunRecord | None
    conversion: ConversionRecord | None

    @classmethod
    def read(cls, path: str | Path) -> ModelFolder:
        """Read a folder.

        Args:
            path: Written by `save_pretrained` of a model and its processor.

        Returns:
            What it says.

        Raises:
            FileNotFoundError: If it lacks the config, the weights or the processor.
            ValueError: If it holds no model of this package.
        """
        path = Path(path)
        weights = sorted(path.glob("model*.safetensors"))
        missing = [name for name in ("config.json", "processor_config.json") if not (path / name).is_file()]
        missing += [] if weights else ["model.safetensors"]
        if missing:
            raise FileNotFoundError(
                f"{path} is no folder of a model and its processor: it has no {', '.join(missing)}; save both there "
                "with save_pretrained (a conversion writes the processor with --tokenizer)"
            )
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        architecture = architecture_of(config, path)
        sizes: Counter[str] = Counter()
        for file in weights:
            with safe_open(file, framework="np") as tensors:
                for name in tensors.keys():  # noqa: SIM118  the file is no mapping
                    part = tensors.get_slice(name)
                    sizes[part.get_dtype()] += math.prod(part.get_shape())
        most = sizes.most_common(1)[0][0]
        run = read_run_record(path)
        conversion = None if run else read_conversion_record(path)  # weights that were trained since are no longer it
        return cls(path, config, architecture, sizes.total(), _DTYPES.get(most, most), run, conversion)

    @property
    def regions(self) -> RegionFeaturesMetadata | None:
        """What the training's region features say of themselves, where they still lie where the run read them."""
        place = self.run.arguments.get("regions") if self.run else None
        if not isinstance(place, str) or not (path := Path(place) / MANIFEST_NAME).is_file():
            return None
        return Manifest.from_json(path.read_text(encoding="utf-8"), str(path)).metadata  # the shards may be gone

    @property
    def started_from(self) -> str | None:
        """What the training's weights started from: a Hub id, or the words for fresh weights.

        None where it was a local folder, whose name says nothing to others, or where nobody says.
        """
        if self.run is None:
            return None
        for name in ("from_pretrained", "from_bert"):
            if place := self.run.arguments.get(name):
                is_id = place.count("/") < 2 and ":" not in place and not place.startswith((".", "~", "/"))
                return place if is_id and not Path(place).exists() else None
        return "fresh weights"

    @property
    def run_arguments(self) -> dict[str, str]:
        """Arguments of the training as JSON, without those that are None and without places on a disk."""
        given = _without_places(self.run.arguments) if self.run else {}
        return {name: json.dumps(value).replace("|", "\\|") for name, value in given.items() if value is not None}


def _without_places(value: Any) -> Any:
    """An argument without what it says, at any depth, of places on a disk."""
    if isinstance(value, list):
        return [_without_places(inner) for inner in value if not _is_place(inner)]
    if not isinstance(value, dict):
        return value
    return {key: _without_places(inner) for key, inner in value.items() if key not in _PLACES and not _is_place(inner)}


def _is_place(value: Any) -> bool:
    return isinstance(value, str) and "/" in value
