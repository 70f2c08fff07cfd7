"""The label of a place where nothing is to be predicted."""

from __future__ import annotations

IGNORED_LABEL = -100
"""What transformers and torch's losses skip."""
