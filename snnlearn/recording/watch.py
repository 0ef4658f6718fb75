"""`watch`: how a run goes on, as text that is refreshed in place; of finished recordings, how it went.

The view takes what was committed to the file, so it is at most a flush (two seconds) behind. It reads only what is new, takes
no lock and never keeps the writer waiting.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple, TextIO

import numpy as np

from .._check import number
from ..storage.open_file import size_text
from .describe import duration, headline, moment
from .raw import RUNNING
from .recording import Recording, open_recording

SCORES = {"classification": "accuracy", "regression": "nmse"}
BLOCKS = "▁▂▃▄▅▆▇█"
RECENT = 20.0  # s over which the speed is measured,
RECENT_UPDATES = 50  # or, where updates are timed, so many of them
KEPT = 4096  # values of a curve; more are averaged in pairs


class Progress(NamedTuple):
    """The state of a run; None for what is not known."""

    running: bool
    ending: str
    trials: int
    planned: int | None
    updates: int
    steps: int
    elapsed: float  # s, of the run
    trials_per_second: float | None
    steps_per_second: float | None
    left: float | None  # s
    size: int  # bytes
    loss: float | None  # mean of the last updates
    score: float | None
    rate: float | None  # Hz
    evaluation: float | None
    alignment: dict[str, dict[str, float]]  # passive rule -> matrix -> cosine


class Curve:
    """A growing curve, kept in at most KEPT points."""

    def __init__(self) -> None:
        self.values, self.width, self._rest = np.empty(0), 1, np.empty(0)

    def extend(self, values: np.ndarray) -> None:
        """Append values; NaN are left out."""
        rest = np.concatenate((self._rest, values[np.isfinite(values)]))
        n = rest.size // self.width * self.width
        self.values = np.concatenate((self.values, rest[:n].reshape(-1, self.width).mean(axis=1)))
        self._rest = rest[n:]
        while self.values.size > KEPT:
            n = self.values.size // 2 * 2
            self._rest = np.concatenate((np.repeat(self.values[n:], self.width), self._rest))
            self.values, self.width = self.values[:n].reshape(-1, 2).mean(axis=1), 2 * self.width


class View:
    """Follows a recording: `look` takes note of what is new, `text` shows it."""

    def __init__(self, path: str | os.PathLike[str]):
        self.recording = open_recording(path)
        self.curves = {name: Curve() for name in ("loss", "score", "rate")}
        self.steps, self._rows = 0, {"updates": 0, "trials": 0}
        self._recent: list[tuple[float, int, int]] = []
        self.progress = self._progress()

    def close(self) -> None:
        """Close the file."""
        self.recording.close()

    def look(self) -> Progress:
        """The state by now."""
        created = self.recording.attrs["created"]
        self.recording.refresh()
        if self.recording.attrs["created"] != created:  # another run took the file's place
            path = self.recording.path
            self.close()
            self.__init__(path)  # type: ignore[misc]
        self.progress = self._progress()
        return self.progress

    def _new(self, table: str) -> Any:
        rec, first = self.recording, self._rows[table]
        if table not in rec.tables:
            return None
        self._rows[table] = rec.n_rows(table)
        return rec.table(table, slice(first, None))

    def _progress(self) -> Progress:
        rec = self.recording
        running, config = rec.goes_on(), rec.config
        trials, updates = self._new("trials"), self._new("updates")
        source = updates if "updates" in rec.tables else trials
        for name, curve in self.curves.items():
            curve.extend(getattr(source, name, np.empty(0)))
        if trials is not None:
            self.steps += int(getattr(trials, "n_steps", np.zeros(1)).sum())
        elif "trials" not in rec.tables:
            self.steps = rec.n_steps
        n_trials = self._rows["trials"] or rec.n_trials
        elapsed = self._elapsed(running)
        speeds = self._speeds(elapsed, n_trials, running)
        planned = (config.get("training") or {}).get("trials")
        left = None
        if running and planned and speeds[0]:
            left = max(planned - n_trials, 0) / speeds[0]
        last = rec.table("updates", slice(-10, None)) if "updates" in rec.tables else source
        return Progress(
            running=running,
            ending=RUNNING if running else rec.ending,
            trials=n_trials,
            planned=planned,
            updates=self._rows["updates"],
            steps=self.steps,
            elapsed=elapsed,
            trials_per_second=speeds[0],
            steps_per_second=speeds[1],
            left=left,
            size=rec.path.stat().st_size,
            loss=_mean(getattr(last, "loss", None)),
            score=_mean(getattr(last, "score", None)),
            rate=_mean(getattr(last, "rate", None)),
            evaluation=_mean(rec.table("evaluations", slice(-1, None)).score) if "evaluations" in rec.tables else None,
            alignment=_alignment(rec),
        )

    def _elapsed(self, running: bool) -> float:
        rec = self.recording
        begin = moment(rec.attrs["created"])
        if running:
            return (datetime.now(UTC) - begin).total_seconds()
        if "closed" in rec.attrs:
            return (moment(rec.attrs["closed"]) - begin).total_seconds()
        return max(rec.path.stat().st_mtime - begin.timestamp(), 0.0)

    def _speeds(self, elapsed: float, trials: int, running: bool) -> tuple[float | None, float | None]:
        """Trials and steps per second: of the last updates or seconds while it runs, of the whole run afterwards."""
        rec, updates = self.recording, self._rows["updates"]
        if "updates" in rec.tables and updates > 1 and "wall_time" in rec.table("updates", slice(0))._fields:
            # not from the beginning of the run: its first seconds went into compiling
            n = min(updates, RECENT_UPDATES) if running else updates
            first, last = (float(rec.table("updates", slice(k, k + 1)).wall_time[0]) for k in (updates - n, updates - 1))
            if last > first:
                return (n - 1) * trials / updates / (last - first), (n - 1) * self.steps / updates / (last - first)
        if trials and (not self._recent or trials != self._recent[-1][1]):
            self._recent.append((elapsed, trials, self.steps))
            while len(self._recent) > 2 and elapsed - self._recent[1][0] > RECENT:
                self._recent.pop(0)
        (t0, n0, s0), (t1, n1, s1) = (0.0, 0, 0), (elapsed, trials, self.steps)
        if running and len(self._recent) > 1:
            (t0, n0, s0), (t1, n1, s1) = self._recent[0], self._recent[-1]
        return ((n1 - n0) / (t1 - t0), (s1 - s0) / (t1 - t0)) if t1 > t0 and n1 > n0 else (None, None)

    def text(self, width: int = 100) -> str:
        """The view, lines of at most `width` characters."""
        p, rec = self.progress, self.recording
        lines = [f"{rec.path.name}  {p.ending}, {duration(p.elapsed)}, {size_text(p.size)}", headline(rec)]
        done = f"{p.trials} trials" + (f" of {p.planned}" if p.planned else "")
        if p.planned:
            fraction = min(p.trials / p.planned, 1.0)
            full = round(24 * fraction)
            done = f"{'█' * full}{'░' * (24 - full)} {fraction:4.0%}  {done}"
        if p.updates:
            done += f", {p.updates} updates"
        lines.append(f"progress   {done}" + (f", about {duration(p.left)} left" if p.left is not None else ""))
        if p.trials_per_second and p.steps_per_second:
            lines.append(f"speed      {p.steps_per_second:.3g} steps/s, {p.trials_per_second:.3g} trials/s")
        kind = (rec.config.get("task") or {}).get("kind")
        room = max(10, min(60, width - 40))
        for name, value, label in (
            ("loss", p.loss, "loss"),
            ("score", p.score, SCORES.get(str(kind), "score")),
            ("rate", p.rate, "rate"),
        ):
            if value is not None:
                unit = " Hz" if name == "rate" else ""
                lines.append(f"{label:<10} {f'{value:.4g}{unit}':<12} {spark(self.curves[name].values, room)}")
        if p.evaluation is not None:
            lines.append(f"evaluation {p.evaluation:.4g}")
        for rule, cosines in p.alignment.items():
            lines.append(f"alignment  {rule}: cosine " + ", ".join(f"{matrix} {x:.3f}" for matrix, x in cosines.items()))
        if rec.events:
            lines.append(f"event      {rec.events[-1].kind}: {' '.join(rec.events[-1].message.split())}")
        return "\n".join(line if len(line) <= width else line[: width - 1] + "…" for line in lines)


def looks(path: str | os.PathLike[str], interval: float, timeout: float | None = None) -> Iterator[View]:
    """The view again and again, every `interval` seconds, until the run has ended or `timeout` seconds are over."""
    number("watch.interval", interval, "be a positive time in s", 0.0, strict=True)
    view, began = View(path), time.monotonic()
    try:
        while True:
            yield view
            if not view.progress.running or (timeout is not None and time.monotonic() - began >= timeout):
                return
            time.sleep(interval)
            view.look()
    finally:
        view.close()


def watch(
    path: str | os.PathLike[str], interval: float = 1.0, timeout: float | None = None, file: TextIO | None = None
) -> Progress:
    """Show how a run goes on in the terminal, refreshed in place, until it has ended; returns its last state.

    path : the recording, of a run that goes on or has ended
    interval : s between two looks
    timeout : stop after so many seconds; None: when the run ends
    file : where to write; None: standard output. Where it is no terminal each change is written as a block of its own

    Raises as `open_recording`.
    """
    out = sys.stdout if file is None else file
    in_place, height, before, progress = out.isatty(), 0, "", None
    for view in looks(pathlib.Path(path), interval, timeout):
        progress, text = view.progress, view.text(shutil.get_terminal_size((100, 24)).columns - 1)
        if in_place:
            out.write((f"\x1b[{height}F\x1b[J" if height else "") + text + "\n")
        elif text != before:
            out.write(("\n" if before else "") + text + "\n")
        out.flush()
        height, before = text.count("\n") + 1, text
    assert progress is not None
    return progress


def spark(values: np.ndarray, width: int) -> str:
    """A curve as a line of blocks."""
    if values.size < 2:
        return ""
    edges = np.linspace(0, values.size, min(width, values.size) + 1).astype(int)
    means = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    low, span = means.min(), np.ptp(means)
    level = np.full(means.size, 3) if span == 0 else np.minimum((means - low) / span * len(BLOCKS), len(BLOCKS) - 1).astype(int)
    return "".join(BLOCKS[k] for k in level)


def _alignment(rec: Recording) -> dict[str, dict[str, float]]:
    """Cosines of the last alignment."""
    if not rec.n_rows("alignment"):
        return {}
    passive = rec.config.get("passive") or []
    table = rec.table("alignment", slice(-max(len(passive), 1), None))
    result = {}
    for k, number_ in enumerate(table.rule.tolist()):
        name = str(passive[number_].get("name", number_)) if number_ < len(passive) else f"rule {number_}"
        columns = [column for column in table._fields if column.startswith("cosine_")]
        result[name] = {column.removeprefix("cosine_"): float(getattr(table, column)[k]) for column in columns}
    return result


def _mean(values: Any) -> float | None:
    if values is None:
        return None
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else None
