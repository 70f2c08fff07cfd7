"""Checkpoints of public code bases, turned into ours."""

from __future__ import annotations

from .checkpoint_files import Checkpoint, UnreadableCheckpoint, read_checkpoint, read_config_file
from .mmf import MMF, config_from_mmf
from .renaming import CodeBase, convert
from .report import Conversion, ConversionError, ConversionReport
from .transformers_visual_bert import TRANSFORMERS_VISUAL_BERT, config_from_transformers
from .uclanlp import UCLANLP, config_from_uclanlp
from .vilbert_beta import VILBERT_BETA, config_from_vilbert_beta
from .vilbert_beta_base import VILBERT_BETA_BASE, config_from_vilbert_beta_base
from .vilbert_multi_task import VILBERT_MULTI_TASK, config_from_vilbert_multi_task
from .volta import VOLTA, config_from_volta

CODE_BASES: dict[str, CodeBase] = {
    "vilbert_beta": VILBERT_BETA,
    "vilbert_beta_base": VILBERT_BETA_BASE,
    "vilbert_multi_task": VILBERT_MULTI_TASK,
    "volta": VOLTA,
    "mmf": MMF,
    "uclanlp": UCLANLP,
    "transformers": TRANSFORMERS_VISUAL_BERT,
}
"""Every code base whose checkpoints can be converted, by the name the command line takes."""

__all__ = [
    "CODE_BASES",
    "Checkpoint",
    "CodeBase",
    "Conversion",
    "ConversionError",
    "ConversionReport",
    "UnreadableCheckpoint",
    "config_from_mmf",
    "config_from_transformers",
    "config_from_uclanlp",
    "config_from_vilbert_beta",
    "config_from_vilbert_beta_base",
    "config_from_vilbert_multi_task",
    "config_from_volta",
    "convert",
    "read_checkpoint",
    "read_config_file",
]
