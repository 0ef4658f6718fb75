"""`describe`: everything one needs to know about a file found a year later, as text."""

from __future__ import annotations

import math
import os
import textwrap
from typing import Any

import numpy as np

from .access import listed
from .reader import Recording, open_recording

WIDTH = 120
ITEMS = 8  # of a long list in the configuration
EVENTS = 20


def describe(path: str | os.PathLike[str]) -> str:
    """A text of lines: origin, network, raw data, tables, weights, events, configuration. Raises as `open_recording`."""
    with open_recording(path) as rec:
        sections = [_origin(rec), _raw_data(rec), _tables(rec), _weights(rec), _events(rec), _configuration(rec)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _origin(rec: Recording) -> list[str]:
    attrs = rec.attrs
    state = {"running": "running (still being written, or ended without closing the file)"}.get(rec.status, rec.status)
    lines = [
        f"{rec.path}",
        f"  format     {attrs['format']} {attrs['version']}, {_bytes(rec.path.stat().st_size)}",
        f"  status     {state}",
        f"  created    {attrs['created']}" + (f", closed {attrs['closed']}" if "closed" in attrs else ""),
        f"  software   {', '.join(f'{name} {version}' for name, version in rec.versions.items())}",
        f"  network    {rec.n_neurons} neurons, {rec.n_outputs} outputs, dt = {rec.dt:g} ms",
    ]
    return lines + ([f"  seed       {attrs['seed']}"] if "seed" in attrs else [])


def _raw_data(rec: Recording) -> list[str]:
    every = int(rec.attrs["every"])
    lines = ["Raw data" + (f" of every {every}th trial" if every > 1 else "")]
    if not rec.n_trials:
        return [*lines, "  none"]
    seconds = rec.n_steps * rec.dt / 1000
    lines.append(f"  {rec.n_trials} trials ({listed(rec.trials)}), {rec.n_steps} steps, {_duration(seconds)} of simulated time")
    rows = []
    if rec.n_spikes is not None:
        rows.append(("spikes", f"[{rec.n_spikes}]", f"trial, step, neuron; mean rate {rec.mean_rate:.3g} Hz"))
    for signal in (rec[name] for name in rec.names):
        text = signal.description + ("" if signal.units == "1" else f", {signal.units}")
        if signal.neurons is not None:
            whole = np.array_equal(signal.neurons, np.arange(rec.n_neurons))
            text += "; all neurons" if whole else f"; neurons {listed(signal.neurons)}"
        rows.append((signal.name, f"{list(signal.shape)} {signal.dtype}", text.removeprefix("; ")))
    return lines + _aligned(rows)


def _tables(rec: Recording) -> list[str]:
    lines = []
    for name in rec.tables:
        table = rec.table(name)
        lines.append(f"Table {name}, {len(table[0])} rows")
        rows = []
        for column, x in table._asdict().items():
            known = x[np.isfinite(x)] if x.dtype.kind == "f" else x
            span = "no values"
            if known.size:
                span = f"first {_value(known[0])}, last {_value(known[-1])}, range {_value(known.min())} to {_value(known.max())}"
            units, description = rec.about(f"tables/{name}/{column}")
            rows.append((column, span, description + (f", {units}" if units != "1" else "")))
        lines += _aligned(rows)
    return lines


def _weights(rec: Recording) -> list[str]:
    if not rec.weight_updates.size:
        return ["Weights", "  none"]
    lines = [f"Weights, {rec.weight_updates.size} snapshots after {listed(rec.weight_updates)} updates; the last:"]
    rows = []
    for name, w in rec.weights()._asdict().items():
        x = w.data if hasattr(w, "indptr") else w
        kind = f", {x.size} synapses (CSR)" if x is not w else ""
        text = f"mean {x.mean():.3g}, standard deviation {x.std():.3g}" if x.size else ""
        rows.append((name, f"{list(w.shape)} {x.dtype}{kind}", text))
    return lines + _aligned(rows)


def _events(rec: Recording) -> list[str]:
    if not rec.events:
        return []
    lines = [f"  {event.time}  {event.kind}: {_cut(event.message)}" for event in rec.events[:EVENTS]]
    more = [f"  ... {len(rec.events) - EVENTS} more"] if len(rec.events) > EVENTS else []
    return [f"Events, {len(rec.events)}", *lines, *more]


def _configuration(rec: Recording) -> list[str]:
    return ["Configuration", *(_nested(rec.config, "  ") or ["  none"])]


def _nested(value: dict[str, Any], indent: str) -> list[str]:
    """A mapping as lines `key: value`, inner mappings indented."""
    lines = []
    for key, x in value.items():
        if isinstance(x, list) and x and all(isinstance(item, dict) for item in x):
            x = {f"{i}": item for i, item in enumerate(x)}
        if isinstance(x, dict) and x:
            lines += [f"{indent}{key}:", *_nested(x, indent + "  ")]
        else:
            lines += textwrap.wrap(_leaf(x), WIDTH, initial_indent=f"{indent}{key}: ", subsequent_indent=indent + "    ")
    return lines


def _leaf(value: Any) -> str:
    if isinstance(value, list) and len(value) > ITEMS:
        shown = ", ".join(_leaf(x) for x in value[: ITEMS // 2])
        return f"[{shown}, ... {_leaf(value[-1])}] ({len(value)} values)"
    if isinstance(value, list):
        return "[" + ", ".join(map(_leaf, value)) + "]"
    return _cut(str(value)) or "''"


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 3 * WIDTH else text[: 3 * WIDTH - 4] + " ..."


def _aligned(rows: list[tuple[str, str, str]]) -> list[str]:
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(2)]
    return [f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c}".rstrip() for a, b, c in rows]


def _value(x: Any) -> str:
    return f"{x:.4g}" if isinstance(x, np.floating) else str(x)


def _bytes(size: int) -> str:
    power = min(4, int(math.log(max(size, 1), 1000)))
    return f"{size / 1000**power:.3g} {('B', 'kB', 'MB', 'GB', 'TB')[power]}"


def _duration(seconds: float) -> str:
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"
