"""Shares of examples, such as accuracies, that always carry their uncertainty with them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any


@dataclass(frozen=True, slots=True)
class Share:
    """A share of examples, with its 95 % interval.

    Attributes:
        value: In [0, 1].
        low: Lower end of the Wilson interval.
        high: Upper end.
        count: Number of examples.
    """

    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{100 * self.value:.2f} % ({100 * self.low:.2f} to {100 * self.high:.2f}, n = {self.count})"


def wilson_interval(share: float, count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share.

    It holds for examples drawn independently that are right or wrong. For scores between 0 and 1, as in VQA, it is
    wider than needed, as their variance is at most that of right and wrong with the same mean.

    Args:
        share: Of the examples, in [0, 1].
        count: Number of examples.
        confidence: Probability that such an interval holds the true share, in (0, 1).

    Returns:
        Lower and upper end, in [0, 1].

    Raises:
        ValueError: If an argument is out of its range.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1, got {share}")
    if count < 1:
        raise ValueError(f"the share of no examples is unknown, got count {count}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must lie between 0 and 1, got {confidence}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    scale = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / scale
    reach = z / scale * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    # The ends are exact where all or none are right; rounding must not push the interval off its own share.
    return (max(0.0, centre - reach) if share > 0 else 0.0), (min(1.0, centre + reach) if share < 1 else 1.0)


def share_of(scores: Iterable[float]) -> Share:
    """Mean score of the examples; does not depend on their order.

    Args:
        scores: Of every example, in [0, 1]: True and False, or how right it is.

    Returns:
        The share.

    Raises:
        ValueError: If there are no examples, or a score lies outside [0, 1].
    """
    scores = [float(score) for score in scores]
    if not scores:
        raise ValueError("there are no examples to score")
    wrong = next((score for score in scores if not 0 <= score <= 1), None)
    if wrong is not None:
        raise ValueError(f"the score of an example lies between 0 and 1, got {wrong}")
    value = math.fsum(scores) / len(scores)
    return Share(value, *wilson_interval(value, len(scores)), len(scores))


def shares_by(groups: Sequence[str | None], scores: Sequence[float]) -> dict[str, Share]:
    """Share of each group of examples.

    Args:
        groups: The group of every example; those with None are left out.
        scores: Of every example, in [0, 1].

    Returns:
        Shares by group, in alphabetical order.
    """
    members: defaultdict[str, list[float]] = defaultdict(list)
    for group, score in zip(groups, scores, strict=True):
        if group is not None:
            members[group].append(score)
    return {group: share_of(members[group]) for group in sorted(members)}


def flat(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores as plain values on one level, for logs, JSON and `evaluate`.

    Args:
        scores: What the functions of this package return: shares, settings, and tables of these by name.

    Returns:
        For a share `accuracy`: `accuracy`, `accuracy_low`, `accuracy_high` and `accuracy_count`. Entries of a table
        are called `table.entry`. Everything else is passed on.
    """
    plain: dict[str, Any] = {}
    for name, score in scores.items():
        if isinstance(score, Share):
            plain |= {
                name: score.value,
                f"{name}_low": score.low,
                f"{name}_high": score.high,
                f"{name}_count": score.count,
            }
        elif isinstance(score, Mapping):
            plain |= {f"{name}.{key}": value for key, value in flat(score).items()}
        else:
            plain[name] = score
    return plain


def markdown_table(rows: Mapping[str, Mapping[str, Any] | Share]) -> str:
    """Scores as a table to print: one row a split, a model or a type.

    Args:
        rows: Scores by row name. Tables within them are left out; settings, such as where proposals come from, are
            columns too, so that they are never lost. A row that is one share has the column "share".

    Returns:
        Lines of Markdown, shares in percent with their intervals.
    """
    cells = {
        row: {
            name: str(score)
            for name, score in ({"share": scores} if isinstance(scores, Share) else scores).items()
            if not isinstance(score, Mapping)
        }
        for row, scores in rows.items()
    }
    columns = list(dict.fromkeys(name for row in cells.values() for name in row))
    lines = [["", *columns], ["---"] * (len(columns) + 1)]
    lines += [[row, *(scores.get(name, "") for name in columns)] for row, scores in cells.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
