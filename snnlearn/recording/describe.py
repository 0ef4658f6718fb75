"""`describe`: everything one needs to know about a file found a year later, as text."""

from __future__ import annotations

import os
import textwrap
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ..storage.open_file import listed, size_text
from .recording import Recording, open_recording

WIDTH = 120
ITEMS = 8  # of a long list in the configuration
EVENTS = 20
KNOWN = {
    *("configuration", "segments", "spikes", "inputs", "traces", "neurons", "pairs", "readout", "target", "weights", "synapses"),
    *("reduced", "tables", "events", "rewiring"),
}


def describe(path: str | os.PathLike[str]) -> str:
    """A text of lines: origin, run, raw data, tables, alignment, weights, events, configuration.

    path : of a recording. Raises as `open_recording`.
    """
    with open_recording(path) as rec:
        parts = (_origin, _run, _raw_data, _reduced, _tables, _alignment, _weights, _synapses, _rewiring, _other, _events)
        rec.goes_on()
        sections = [part(rec) for part in (*parts, _configuration)]
    return "\n\n".join("\n".join(lines) for lines in sections if lines) + "\n"


def _origin(rec: Recording) -> list[str]:
    attrs = rec.attrs
    state = "running (still being written, or ended without closing the file)" if rec.status == "running" else rec.status
    if rec.status == "running" and not rec.is_running:
        state = f"running, but no process has the file open: it {rec.ending}"
    begin = moment(attrs["created"])
    end = moment(attrs["closed"]).timestamp() if "closed" in attrs else rec.path.stat().st_mtime
    span = f"closed {attrs['closed']}" if "closed" in attrs else f"last written {_clock(end)}"
    lines = [
        f"{rec.path}",
        f"  format     {attrs['format']} {attrs['version']}, {size_text(rec.size)}",
        f"  status     {state}",
        f"  created    {attrs['created']}, {span} ({duration(max(end - begin.timestamp(), 0.0))})",
        f"  software   {', '.join(f'{name} {version}' for name, version in rec.versions.items())}",
    ]
    if rec.config.get("command"):
        lines.append(f"  command    {_cut(str(rec.config['command']))}")
    fork = rec.config.get("fork")
    if fork:
        changes = f", with another {' and '.join(fork['changes'])}" if fork["changes"] else ""
        lines.append(f"  forked     from {fork['of']} after {fork['updates']} updates{changes}")
    return lines + ([f"  seed       {attrs['seed']}"] if "seed" in attrs else [])


def _run(rec: Recording) -> list[str]:
    """What was run: the configuration in a few lines."""
    config = rec.config
    network = config.get("network") or {}
    lines = [f"Run of {headline(rec)}", f"  network     {rec.n_neurons} neurons, {rec.n_outputs} outputs, dt = {rec.dt:g} ms"]
    if network:
        connect = [
            f"{_short(network[key])} {name}"
            for key, name in (("inputs", "inputs"), ("recurrent", "recurrent"))
            if network.get(key)
        ]
        lines[-1] += "".join(f", {text}" for text in connect) + (f", delay {network['delay']:g} ms" if "delay" in network else "")
    plan = config.get("training") or {}
    for key in ("task", "rule", "optimizer", "loss", "regularizer", "rewiring"):
        if config.get(key):
            lines.append(f"  {key:<11} {_cut(_short(config[key]))}")
    if plan:
        lines.append(f"  training    {plan.get('trials')} trials in batches of {plan.get('batch')}")
    if config.get("update_every") is not None:
        every = config["update_every"]
        every = every if every == "trial" else f"{every} steps"
        lines.append(f"  updates     every {every}, in {config.get('dtype', 'unknown precision')}")
    return lines


def _short(value: Any) -> str:
    """A described object as a call: "Adam(lr=0.005)"; parts that are not set are left out."""
    if not isinstance(value, dict):
        return _leaf(value)
    name = value.get("type") or value.get("name") or ""
    rest = {k: x for k, x in value.items() if k not in ("type", "name") and x is not None and x != [] and x != {}}
    return f"{name}({', '.join(f'{k}={_short(x)}' for k, x in rest.items())})"


def _raw_data(rec: Recording) -> list[str]:
    every = int(rec.attrs["every"])
    lines = ["Raw data" + (f" of every {every}th trial" if every > 1 else "")]
    if not rec.n_trials:
        return [*lines, "  none"]
    seconds = rec.n_steps * rec.dt / 1000
    what = "pieces of a stream" if rec.is_stream else "trials"
    lines.append(f"  {rec.n_trials} {what} ({listed(rec.trials)}), {rec.n_steps} steps, {duration(seconds)} of simulated time")
    rows = []
    if rec.n_spikes is not None:
        rows.append(("spikes", f"[{rec.n_spikes}]", f"trial, step, neuron; mean rate {rec.mean_rate:.3g} Hz"))
    if rec.has_inputs:
        kind = "spikes" if "value" not in rec._input_columns else "values"
        rows.append(("inputs", f"[{rec.segments.n_inputs.sum()}]", f"{kind} of {rec._input_columns['channels']} channels"))
    for signal in (rec[name] for name in rec.names):
        text = signal.description + ("" if signal.units == "1" else f", {signal.units}")
        if signal.neurons is not None:
            whole = np.array_equal(signal.neurons, np.arange(rec.n_neurons))
            text += "; all neurons" if whole else f"; neurons {listed(signal.neurons)}"
        if signal.pairs is not None:
            text += f"; {len(signal.pairs)} synapses"
        if signal.every > 1:
            text += f"; every {signal.every} steps"
        rows.append((signal.name, f"{list(signal.shape)} {signal.dtype}", text.removeprefix("; ")))
    return lines + _aligned(rows)


def _reduced(rec: Recording) -> list[str]:
    """What reducers have summed up."""
    if not rec.reduced:
        return []
    rows = []
    for name in rec.reduced:
        found = rec.reduction(name)
        length = f"{duration(found.time[-1] / 1000)} of simulated time" if found.time.size else "nothing yet"
        columns = [x for x in found._fields if x not in ("time", "duration", "trial", "update") and "edges" not in x]
        rows.append((name, f"{found.time.size} bins", f"{length}; {', '.join(columns)}"))
    return ["Reduced in the run", *_aligned(rows)]


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


def _alignment(rec: Recording) -> list[str]:
    """Cosines of passive rules' gradients to the updating rule's: at first, at last, and their mean."""
    if not rec.n_rows("alignment"):
        return []
    table, passive = rec.table("alignment"), rec.config.get("passive") or []
    rows = []
    for k in np.unique(table.rule).tolist():
        name = str(passive[k].get("name", k)) if k < len(passive) else f"rule {k}"
        for column in table._fields:
            x = getattr(table, column)[table.rule == k]
            if column.startswith("cosine_") and np.isfinite(x).any():
                known = x[np.isfinite(x)]
                span = f"first {known[0]:.3f}, last {known[-1]:.3f}, mean {known.mean():.3f} of {known.size}"
                rows.append((name, column.removeprefix("cosine_"), span))
    return ["Alignment: cosine of a passive rule's gradient to the updating rule's", *_aligned(rows)]


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


def _synapses(rec: Recording) -> list[str]:
    """Weights of chosen synapses."""
    if "synapses" not in rec._committed:
        return []
    found = rec.synapses
    rows = [
        (name.removesuffix("_pairs"), f"{len(getattr(found, name))} synapses", "")
        for name in found._fields
        if name.endswith("_pairs")
    ]
    return [f"Weights of chosen synapses, {found.update.size} rows", *_aligned(rows)]


def _rewiring(rec: Recording) -> list[str]:
    """How many synapses were exchanged."""
    if "rewiring" not in rec._committed:
        return []
    found, rows = rec.rewiring, []
    for m, name in enumerate(("w_in", "w_rec")):
        of = found.update[(found.matrix == m) & (found.born == 1)]
        if of.size:
            rows.append((name, f"{of.size} synapses", f"after updates {of[0]} to {of[-1]}"))
    return ["Rewired: synapses that died, with as many born elsewhere", *_aligned(rows)]


def _other(rec: Recording) -> list[str]:
    """What else stands in the file, as checkpoints."""
    names = sorted(set(rec.file) - KNOWN)
    return [f"Also in the file: {', '.join('/' + name for name in names)}"] if names else []


def _events(rec: Recording) -> list[str]:
    if not rec.events:
        return []
    lines = [f"  {event.time}  {event.kind}: {_cut(event.message)}" for event in rec.events[:EVENTS]]
    more = [f"  ... {len(rec.events) - EVENTS} more"] if len(rec.events) > EVENTS else []
    return [f"Events, {len(rec.events)}", *lines, *more]


def _configuration(rec: Recording) -> list[str]:
    shown = {key: value for key, value in rec.config.items() if key != "run"}  # which says the same, in another form
    return ["Configuration", *(_nested(shown, "  ") or ["  none"])]


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


def headline(rec: Recording) -> str:
    """Task, network, rule and optimizer in a line."""
    config = rec.config
    network, task, rule, optimizer = (config.get(name) or {} for name in ("network", "task", "rule", "optimizer"))
    groups = [f"{g.get('n', '?')} {g.get('type', 'neurons')}" for g in network.get("neurons") or []]
    sizes = [f"{network['n_inputs']} in"] if "n_inputs" in network else []
    sizes += [" + ".join(groups) or f"{rec.n_neurons} neurons", f"{rec.n_outputs} out"]
    parts = [str(task["name"])] if task.get("name") else []
    parts.append(" → ".join(sizes))
    if rule.get("type"):
        parts.append(str(rule["type"]) + (f" with {optimizer['type']}" if optimizer.get("type") else ""))
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """A time span in a few characters, as "2 h 5 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.2g} s" if seconds < 10 else f"{whole} s"
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    k = next(i for i, (_, length) in enumerate(units) if whole >= length)
    (name, length), (next_name, next_length) = units[k], units[k + 1]
    rest = whole % length // next_length
    return f"{whole // length} {name}" + (f" {rest} {next_name}" if rest else "")


def moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text).replace("Z", "+00:00"))


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
