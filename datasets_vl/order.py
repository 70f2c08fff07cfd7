"""In which order examples come, and who gets which: permutations made of seed and epoch alone, and fair shares."""

from __future__ import annotations

import numpy as np

# Last number of a key: draws made for different purposes never share a stream of random numbers.
PERMUTATION_STREAM = 1
SHUFFLE_BUFFER_STREAM = 2


def epoch_permutation(count: int, *, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch.

    Args:
        count: How many things there are.
        seed: Seed of the run.
        epoch: Which pass over the data, from 0.

    Returns:
        int64 `[count]`, a permutation of `0 .. count - 1`: the same one wherever it is computed.
    """
    key = np.random.SeedSequence([seed, epoch, 0, 0, PERMUTATION_STREAM])
    return np.random.Generator(np.random.Philox(key)).permutation(count)


def share(count: int, part: int, parts: int) -> range:
    """The share of one reader: the shares follow each other, cover everything once and differ by one at most.

    Args:
        count: How many things are divided.
        part: Which share, from 0.
        parts: Number of shares.

    Returns:
        The positions of the share.
    """
    return range(count * part // parts, count * (part + 1) // parts)
