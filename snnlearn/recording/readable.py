"""`Readable`: a recording with its signals, tables and pieces; `Recording` adds what other packages take."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .pieces import Piece, iter_trials, iter_windows
from .signal import Signal
from .summaries import Summaries


class Readable(Summaries):
    """Raw data, summaries and signals of an open recording. See `Recording`."""

    def iter_trials(self, trials: Any = None) -> Iterator[Piece]:
        """Each trial, or piece of a stream, as a `Piece`, unread: `for piece in rec.iter_trials(): piece.spikes(), piece["v"]`.

        trials : as in `spikes`
        """
        return iter_trials(self, trials)

    def iter_windows(self, length: float, trials: Any = None) -> Iterator[Piece]:
        """Windows of `length` ms that follow each other within each trial, or stream; the last one may be shorter.

        trials : as in `spikes`
        """
        return iter_windows(self, length, trials)

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __getitem__(self, name: str) -> Signal:
        """The signal of this name, unread. Raises KeyError that lists the names in the file."""
        if name not in self.names:
            raise KeyError(f"{self.path} has no {name!r}; it has {', '.join(map(repr, self.names)) or 'no signals'}")
        return Signal(self, name)
