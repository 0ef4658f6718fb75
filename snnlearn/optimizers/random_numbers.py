"""Random numbers of a counter: pure functions of a key and a number, so that no state is kept and no order matters.

A word is `mix(key + (counter + 1) golden)`, SplitMix64 (Steele, Lea & Flood 2014), 64 bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler.dispatch import inlined

GOLDEN = 0x9E3779B97F4A7C15
MASK = 2**64 - 1


@inlined
def mix(x):
    """A well-mixed 64-bit number."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


def key_of(*counters: int) -> np.uint64:
    """The key of a stream of numbers, as of (seed, purpose, update)."""
    key = np.zeros(1, np.uint64)
    for counter in counters:
        key = _mixed(key + np.uint64((counter + GOLDEN) & MASK))
    return np.uint64(key[0])


def words(key: np.uint64, counters: Any) -> np.ndarray:
    """The words of these counters, uint64."""
    return _mixed(key + (np.asarray(counters, np.uint64) + np.uint64(1)) * np.uint64(GOLDEN))


def distinct(key: np.uint64, below: int, n: int) -> np.ndarray:
    """The first n distinct numbers below a bound that the counter gives, sorted, int64; of more than half, what is left over."""
    if n > below // 2:
        kept = np.ones(below, bool)
        kept[distinct(key, below, below - n)] = False
        return np.flatnonzero(kept)
    found, drawn = np.empty(0, np.int64), 0
    while found.size < n:
        more = words(key, np.arange(drawn, drawn + n - found.size)) % np.uint64(max(below, 1))
        drawn += more.size
        found = np.unique(np.append(found, more.astype(np.int64)))
    return found


def _mixed(x: np.ndarray) -> np.ndarray:
    """`mix` of arrays, which wrap around without a warning."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
