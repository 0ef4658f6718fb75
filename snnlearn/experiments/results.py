"""The results of a sweep in one table, with learning curves: from the recordings, to HDF5, CSV and pandas."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from .. import _check
from ..recording import open_recording
from .grid import short

RECENT = 10  # updates over which loss and score are averaged at the end
ABOUT = {
    "run": ("1", "number of the point"),
    "file": ("1", "name of the recording"),
    "status": ("1", "complete, failed or interrupted"),
    "error": ("1", "why a run failed"),
    "attempts": ("1", "times that the run was begun or taken up again by this call"),
    "seconds": ("s", "wall time of the run by this call, or, where it was complete before, of its training"),
    "compiled": ("1", "functions that its process had to compile"),
    "updates": ("1", "updates of the weights"),
    "loss": ("1", f"mean of the last {RECENT} updates"),
    "score": ("1", f"accuracy or normalised error, mean of the last {RECENT} updates"),
    "rate": ("Hz", f"firing rate, mean of the last {RECENT} updates"),
    "evaluation_loss": ("1", "of the last evaluation"),
    "evaluation_score": ("1", "of the last evaluation"),
    "events": ("1", "events in the recording, as warnings"),
}
CURVES = {"loss": "updates", "score": "updates", "evaluation_update": "evaluations", "evaluation_score": "evaluations"}


class SweepResult:
    """What a sweep gave.

    rows : a dict for each run: its number, file, status, what varied, and how it ended
    curves : name -> array [runs, updates or evaluations] of "loss", "score", "evaluation_update" and "evaluation_score"; NaN
        where a run has no more
    folder : of the recordings
    """

    def __init__(self, folder: pathlib.Path, rows: list[dict[str, Any]], curves: dict[str, np.ndarray]):
        self.folder, self.rows, self.curves = folder, rows, curves

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        done = sum(row["status"] == "complete" for row in self.rows)
        lines = [f"SweepResult({str(self.folder)!r}), {done} of {len(self)} runs complete"]
        shown = [name for name in self.columns if name not in ("file", "error", "compiled", "attempts", "events")]
        cells = [shown, *([_cell(row[name]) for name in shown] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines += ["  " + "  ".join(c.rjust(w) for c, w in zip(line, widths, strict=True)) for line in cells]
        return "\n".join(lines)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns of the table."""
        return tuple(self.rows[0]) if self.rows else ()

    @property
    def paths(self) -> list[pathlib.Path]:
        """The recordings, one a run, in the order of the rows."""
        return [self.folder / row["file"] for row in self.rows]

    def column(self, name: str) -> np.ndarray:
        """A column as an array. Raises KeyError that lists the columns."""
        if name not in self.columns:
            raise KeyError(f"the sweep has no column {name!r}; it has {', '.join(self.columns)}")
        return np.array([row[name] for row in self.rows])

    def to_pandas(self) -> Any:
        """The table as a pandas.DataFrame. Raises ImportError without pandas."""
        return _check.need("pandas", "SweepResult.to_pandas").DataFrame(self.rows)

    def save(self) -> None:
        """Write sweep.csv (the table) and sweep.h5 (table and curves) into the folder."""
        with open(self.folder / "sweep.csv", "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns)
            writer.writeheader()
            writer.writerows(self.rows)
        with h5py.File(self.folder / "sweep.h5", "w") as h5:
            h5.attrs["format"] = "snnlearn-sweep"
            table = h5.create_group("runs")
            for k, name in enumerate(self.columns):
                values = self.column(name)
                text = values.dtype.kind in "UO"
                data = table.create_dataset(name, data=[str(x) for x in values] if text else values)
                units, about = ABOUT.get(name, ("1", "what the sweep varied"))
                data.attrs.update({"position": k, "units": units, "description": about})
            for name, values in self.curves.items():
                data = h5.create_dataset(f"curves/{name}", data=values, compression="gzip" if values.size else None)
                data.attrs.update({"units": "1", "description": f"[runs, {CURVES[name]}]; NaN where a run has no more"})


def gather(jobs: Sequence[Any], folder: pathlib.Path) -> SweepResult:
    """The results of the jobs of a sweep, saved into the folder."""
    rows, curves = [], []
    for job in jobs:
        found = _read(job.path)
        curves.append(found.pop("curves"))
        varied = {name: x if isinstance(x, (bool, int, float, str)) else short(_plain(x)) for name, x in job.point.items()}
        row: dict[str, Any] = {"run": job.number, **varied, "status": job.status, **found, "error": job.error}
        spent = sum(o.seconds for o in job.outcomes) if job.outcomes else found["seconds"]
        row |= {"attempts": job.attempts, "seconds": spent}
        row |= {"compiled": sum(o.compiled for o in job.outcomes), "file": job.path.name}
        rows.append(row)
    result = SweepResult(folder, rows, {name: _padded([c[name] for c in curves]) for name in CURVES})
    result.save()
    return result


def _plain(value: Any) -> Any:
    return value if isinstance(value, (Mapping, list, tuple)) else repr(value)


def _read(path: pathlib.Path) -> dict[str, Any]:
    """How a run ended, as its recording says; NaN where it says nothing."""
    curves = {name: np.empty(0) for name in CURVES}
    row = {"updates": 0, **dict.fromkeys(("loss", "score", "rate", "evaluation_loss", "evaluation_score"), np.nan)}
    row |= {"events": 0, "seconds": 0.0}
    try:
        with open_recording(path) as recording:
            if recording.n_rows("updates"):
                table = recording.table("updates")
                row["updates"] = table.loss.size
                row |= {name: float(getattr(table, name)[-RECENT:].mean()) for name in ("loss", "score", "rate")}
                row["seconds"] = float(table.wall_time[-1])
                curves |= {"loss": table.loss, "score": table.score}
            if recording.n_rows("evaluations"):
                table = recording.table("evaluations")
                row |= {"evaluation_loss": float(table.loss[-1]), "evaluation_score": float(table.score[-1])}
                curves |= {"evaluation_update": table.update.astype(float), "evaluation_score": table.score}
            row["events"] = len(recording.events)
    except (OSError, ValueError):
        pass
    return row | {"curves": curves}


def _padded(rows: list[np.ndarray]) -> np.ndarray:
    """Rows of different lengths as one array, filled with NaN."""
    result = np.full((len(rows), max((row.size for row in rows), default=0)), np.nan)
    for k, row in enumerate(rows):
        result[k, : row.size] = row
    return result


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
