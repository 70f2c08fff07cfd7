"""Rules that turn the names of another code base into ours."""

from __future__ import annotations

from typing import NamedTuple

WEIGHT = r"(weight|bias)"


class Rule(NamedTuple):
    r"""What becomes of the names that a pattern matches as a whole. The first rule that matches counts.

    Attributes:
        pattern: A regular expression.
        target: Name in our model, with the pattern's groups as `\1`. None when the weight is dropped.
        reason: Why a weight is dropped.
        copy_of: Name in the checkpoint that must hold the same values for the weight to be dropped.
    """

    pattern: str
    target: str | None = None
    reason: str | None = None
    copy_of: str | None = None


def drop(pattern: str, reason: str) -> Rule:
    """Make a rule for weights that our model does without.

    Args:
        pattern: A regular expression.
        reason: Why the model does without them, with the pattern's groups.

    Returns:
        The rule.
    """
    return Rule(pattern, reason=reason)


def drop_copy(pattern: str, of: str) -> Rule:
    """Make a rule for a tensor that the code base stores under two names.

    Args:
        pattern: A regular expression of the name that is dropped.
        of: The name that is kept, with the pattern's groups.

    Returns:
        The rule.
    """
    return Rule(pattern, reason=f"the same tensor as {of}", copy_of=of)


POSITION_IDS = drop(r".*embeddings\.position_ids", "a buffer that counts 0, 1, 2, ...")
TOKEN_HEAD = (
    Rule(r"cls\.predictions\.(transform\.(?:dense|LayerNorm)\.(?:weight|bias)|bias)", r"cls.predictions.\1"),
    drop_copy(r"cls\.predictions\.decoder\.bias", "cls.predictions.bias"),
)
