"""Private parts of Numba may go with any version: each use has a way without it, which is taken and told of once.

What is missing makes compiling or calling slower; results are right in any case.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numba

LOST: dict[str, str] = {}  # uses of Numba's private parts that this version does not allow, and why


def lose(use: str, reason: Exception) -> None:
    """Note that a use of Numba's private parts failed, and warn once."""
    if use not in LOST:
        LOST[use] = f"{type(reason).__name__}: {str(reason).partition(' (')[0]}"  # without the path of a file
        text = f"snnlearn does without {use} on Numba {numba.__version__} ({LOST[use]}): slower, with the same results"
        warnings.warn(text, RuntimeWarning, stacklevel=2)


def tried(use: str) -> Callable[[Callable[[], Any]], Callable[[], bool]]:
    """Turn a function that tries a use into a check: True where it raises nothing. It is tried once, at the first call."""

    def decorate(function: Callable[[], Any]) -> Callable[[], bool]:
        @functools.cache
        def works() -> bool:
            if use not in LOST:
                try:
                    function()
                except Exception as reason:
                    lose(use, reason)
            return use not in LOST

        return works

    return decorate
