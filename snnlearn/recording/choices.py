"""What a `Recorder` is asked to record: its options, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .._check import choice, fail, flag, integer, items, number, numbers
from .reductions import check_reduce
from .schema import SIGNALS

MATRICES = ("w_in", "w_rec")  # whose synapses have eligibility traces
PARTS = ("eligibility", "filtered_eligibility", "eligibility_vector")
FLAGS = ("spikes", "inputs", "readout", "target", "raw", "tables", "gradient_norms", "overwrite")
COUNTS = {
    "every": "be a positive number of trials",
    "every_steps": "be a positive number of steps",
    "synapses_every": "be a positive number of updates",
    "weights_every": "be None or a positive number of updates",
    "checkpoint_every": "be None or a positive number of batches or pieces",
    "keep_every": "be None or a positive number of batches or pieces",
}
OPTIONAL = ("weights_every", "checkpoint_every", "keep_every")  # counts that may be None


def check_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `Recorder` by name, as it keeps them. Raises ValueError or TypeError that names the option."""
    result = dict(options)
    for name in FLAGS:
        result[name] = flag(f"Recorder.{name}", options[name])
    for name, need in COUNTS.items():
        if options[name] is not None or name not in OPTIONAL:
            result[name] = integer(f"Recorder.{name}", options[name], need, low=1)
    if options["checkpoint_minutes"] is not None and not (
        isinstance(options["checkpoint_minutes"], str) and options["checkpoint_minutes"] == "auto"
    ):
        need = "be None or a positive time in minutes, or 'auto'"
        where = "Recorder.checkpoint_minutes"
        result["checkpoint_minutes"] = number(where, options["checkpoint_minutes"], need, low=0.0, strict=True)
    if options["compression"] is not None and not (isinstance(options["compression"], str) and options["compression"] == "gzip"):
        raise fail("Recorder.compression", "be 'gzip' or None", options["compression"])
    result["windows"] = check_windows(options["windows"])
    result["eligibility"] = check_pairs("Recorder.eligibility", options["eligibility"], MATRICES)
    parts = items("Recorder.eligibility_parts", options["eligibility_parts"], f"be names among {', '.join(PARTS)}")
    for part in parts:
        choice("Recorder.eligibility_parts", part, PARTS)
    if not parts:
        raise fail("Recorder.eligibility_parts", f"name at least one of {', '.join(PARTS)}", parts)
    result["eligibility_parts"] = list(dict.fromkeys(parts))
    result["synapses"] = check_pairs("Recorder.synapses", options["synapses"], (*MATRICES, "w_out"))
    result["reduce"] = check_reduce(options["reduce"])
    return result


def check_windows(windows: Any) -> list[list[float | None]] | None:
    """Time windows (start, stop) in ms, None for an open end."""
    if windows is None:
        return None
    where, need = "Recorder.windows", "be a list of times (start, stop) in ms with start < stop"
    pairs = [list(items(where, pair, need)) for pair in items(where, windows, need)]
    for pair in pairs:
        if len(pair) != 2 or not all(x is None or isinstance(x, (int, float, np.number)) for x in pair):
            raise fail(where, need, pair, error=TypeError)
        low, high = (0.0 if pair[0] is None else pair[0]), (np.inf if pair[1] is None else pair[1])
        if not 0.0 <= low < high:
            raise fail(where, need, pair)
    if not pairs:
        raise fail(where, need, windows, "None records all times")
    return [[None if x is None else float(x) for x in pair] for pair in pairs]


def check_pairs(where: str, value: Any, matrices: tuple[str, ...]) -> dict[str, np.ndarray] | None:
    """Synapses as {"w_rec": [(pre, post), ...]}: int32 [chosen, 2] for each matrix."""
    if value is None:
        return None
    if not isinstance(value, Mapping) or not value:
        raise fail(where, 'be pairs (pre, post) of a matrix, as {"w_rec": [(0, 1)]}', value, error=TypeError)
    result = {}
    for name, pairs in value.items():
        if name not in matrices:
            raise fail(where, "name matrices among " + ", ".join(matrices), name)
        array = numbers(f"{where}[{name!r}]", pairs, "be a list of pairs (pre, post) of whole numbers").copy()
        if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
            raise fail(f"{where}[{name!r}]", "be a list of pairs (pre, post) of whole numbers", pairs, error=TypeError)
        if array.min() < 0 or np.unique(array, axis=0).shape[0] != array.shape[0]:
            raise fail(f"{where}[{name!r}]", "hold at least one pair, none negative and none twice", pairs)
        result[name] = array.astype(np.int32)
    return result


def pair_names(pairs: Mapping[str, np.ndarray] | None, parts: list[str], hidden: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Names of the traces that are recorded of these synapses, each with its synapses [chosen, 2].

    hidden : the variables of the neuron model's state
    """
    result = {}
    for matrix, chosen in (pairs or {}).items():
        for part in parts:
            names = [f"{part}_{variable}" for variable in hidden] if part == "eligibility_vector" else [part]
            result.update({f"{name}_{matrix}": chosen for name in names})
    return result


def check_synapses(where: str, pairs: Mapping[str, np.ndarray] | None, weights: Any) -> None:
    """Raise ValueError where a pair is not a synapse of these weights."""
    for name, chosen in (pairs or {}).items():
        matrix = getattr(weights, name)
        beyond = (chosen >= np.array(matrix.shape)).any(axis=1)
        if beyond.any():
            need = f"hold pairs below (pre, post) = {tuple(matrix.shape)}"
            raise fail(f"{where}[{name!r}]", need, tuple(chosen[beyond][0].tolist()))
        if hasattr(matrix, "indptr"):
            for pre, post in chosen.tolist():
                if post not in matrix.indices[matrix.indptr[pre] : matrix.indptr[pre + 1]]:
                    raise fail(f"{where}[{name!r}]", "hold synapses that the sparse matrix has", (pre, post))


def check_variables(variables: Any) -> dict[str, Any]:
    """Other variables of the neuron model, by name."""
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise fail("Recorder.variables", 'be names with neurons, as {"i": [0, 1]}', variables, error=TypeError)
    for name in variables:
        if not isinstance(name, str) or not name.isidentifier() or name in (*SIGNALS, "spikes"):
            raise fail("Recorder.variables", "have names of neuron variables", name)
    return dict(variables)


def check_wanted(where: str, value: Any) -> Any:
    """None (nothing), True (all), a slice, or int indices without repetition."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return True if value else None
    if isinstance(value, slice):
        return value
    index = numbers(where, value, "be None, True, a list of neuron indices or a slice").copy()
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        hint = "np.flatnonzero gives the indices of a mask" if index.dtype.kind == "b" else ""
        raise fail(where, "be None, True, a list of neuron indices or a slice", value, hint, TypeError)
    if index.size == 0 or index.min() < 0 or np.unique(index).size != index.size:
        raise fail(where, "hold at least one index, none negative and none twice", value)
    return index
