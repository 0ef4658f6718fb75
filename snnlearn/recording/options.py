"""`RecorderOptions`: the one list of what a recorder can be asked for.

Each field carries its default, its text, the unit that it counts in, how it is checked, and whether checkpoints hold it. The
docstring and signature of `Recorder`, checks, checkpoints, the comments of a configuration and options of the command line
come from here.
"""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypedDict, TypeVar

import numpy as np

from .._check import choice, fail, flag, integer, items, number, numbers
from .reductions import check_reduce
from .schema import SIGNALS

MATRICES = ("w_in", "w_rec")  # whose synapses have eligibility traces
PARTS = ("eligibility", "filtered_eligibility", "eligibility_vector")
FILLED: Any = {"width": 120, "initial_indent": " " * 4, "subsequent_indent": " " * 8, "break_on_hyphens": False}  # docstrings
C = TypeVar("C", bound=type)


class RecorderKeywords(TypedDict, total=False):
    """What a recorder takes, for type checkers and editors; `RecorderOptions` has what it means."""

    spikes: bool
    v: Any
    a: Any
    psi: Any
    threshold: Any
    learning_signal: Any
    readout: bool
    target: bool
    weights_every: int | None
    every: int
    compression: str | None
    overwrite: bool
    variables: Mapping[str, Any] | None
    checkpoint_every: int | None
    checkpoint_minutes: float | str | None
    keep_every: int | None
    every_steps: int
    windows: Any
    eligibility: Mapping[str, Any] | None
    eligibility_parts: Any
    synapses: Mapping[str, Any] | None
    synapses_every: int
    gradient_norms: bool
    reduce: Any
    raw: bool
    tables: bool
    inputs: bool


def check_one_of(where: str, value: Any, *names: str) -> str | None:
    """One of these names, or None."""
    if value is not None and not (isinstance(value, str) and value in names):
        raise fail(where, f"be {', '.join(map(repr, names))} or None", value)
    return value


def check_minutes(where: str, value: Any) -> float | str | None:
    """Minutes, "auto" or None."""
    if value is None or (isinstance(value, str) and value == "auto"):
        return value
    return number(where, value, "be None or a positive time in minutes, or 'auto'", low=0.0, strict=True)


def check_parts(where: str, value: Any) -> list[str]:
    """Names of eligibility traces, each once."""
    parts = items(where, value, f"be names among {', '.join(PARTS)}")
    for part in parts:
        choice(where, part, PARTS)
    if not parts:
        raise fail(where, f"name at least one of {', '.join(PARTS)}", parts)
    return list(dict.fromkeys(parts))


def check_windows(where: str, windows: Any) -> list[list[float | None]] | None:
    """Time windows (start, stop) in ms, None for an open end."""
    if windows is None:
        return None
    need = "be a list of times (start, stop) in ms with start < stop"
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


def check_variables(where: str, variables: Any) -> dict[str, Any]:
    """Other variables of the neuron model, by name, with their neurons."""
    if variables is None:
        return {}
    if not isinstance(variables, Mapping):
        raise fail(where, 'be names with neurons, as {"i": [0, 1]}', variables, error=TypeError)
    for name in variables:
        if not isinstance(name, str) or not name.isidentifier() or name in (*SIGNALS, "spikes"):
            raise fail(where, "have names of neuron variables", name)
    return {name: check_neurons(f"Recorder.{name}", value) for name, value in variables.items()}


def check_neurons(where: str, value: Any) -> Any:
    """None or False (nothing), True (all), a slice, or int indices without repetition."""
    if value is None or isinstance(value, (bool, np.bool_)):
        return None if value is None else bool(value)
    if isinstance(value, slice):
        return value
    index = numbers(where, value, "be None, True, a list of neuron indices or a slice").copy()
    if index.ndim != 1 or (index.size and index.dtype.kind not in "iu"):
        hint = "np.flatnonzero gives the indices of a mask" if index.dtype.kind == "b" else ""
        raise fail(where, "be None, True, a list of neuron indices or a slice", value, hint, TypeError)
    if index.size == 0 or index.min() < 0 or np.unique(index).size != index.size:
        raise fail(where, "hold at least one index, none negative and none twice", value)
    return index


def option(default: Any, check: Callable[[str, Any], Any], text: str, **more: Any) -> Any:
    """A field. check : gets the option's name in errors and its value, and returns what is kept; more : of `Option`"""
    return dataclasses.field(default=default, metadata={"check": check, "text": text, **more})


def _flag(default: bool, text: str, **more: Any) -> Any:
    return option(default, flag, text, **more)


def _count(default: int | None, unit: str, text: str, **more: Any) -> Any:
    """A positive number; None, where that is the default, for never."""
    need = f"be {'None or ' if default is None else ''}a positive number of {unit}"

    def check(where: str, value: Any) -> int | None:
        return None if value is None and default is None else integer(where, value, need, low=1)

    return option(default, check, text, unit=unit, **more)


def _neurons(text: str, **more: Any) -> Any:
    return option(None, check_neurons, text, kept=False, **more)


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class RecorderOptions:
    """What a recorder was asked for, checked: raises ValueError or TypeError that names the option.

    The metadata of a field: text (for the docstring), toml (for a configuration, where it is not the text's beginning), cli
    (of the option of `snnlearn train`, where there is one), unit, check, kept (whether checkpoints hold it; the neurons'
    variables stand there by their indices) and file (whether it means nothing without a file).
    """

    spikes: bool = _flag(True, "record the neurons' spikes")
    v: Any = _neurons(
        "neurons whose membrane potential is recorded: True (all), a list of indices or a slice",
        toml='neurons whose potential is recorded: true (all), a list, or "0:10"; a, psi, threshold likewise',
    )
    a: Any = _neurons("likewise their threshold adaptation")
    psi: Any = _neurons("likewise their pseudo-derivative")
    threshold: Any = _neurons(
        "likewise their threshold. Where v is recorded, so is the threshold of those of its neurons whose threshold adapts, "
        "unless threshold=False",
        toml="likewise",
    )
    learning_signal: Any = _neurons("likewise their learning signal")
    readout: bool = _flag(True, "record the readout", toml="record it")
    target: bool = _flag(True, "record its target", toml="record it")
    weights_every: int | None = _count(None, "updates", "record the weights every so many updates, and the last ones")
    every: int = _count(1, "trials", "raw data (spikes, variables, readout, target) of the trials 0, every, 2 every, ... only")
    compression: str | None = option(
        "gzip",
        lambda where, value: check_one_of(where, value, "gzip"),
        '"gzip", by a thread beside the run, or None; a run that must wait for it warns',
        file=True,
    )
    overwrite: bool = _flag(False, "replace a file that exists, when the simulation opens it", kept=False, file=True)
    variables: Mapping[str, Any] = option(
        None,
        check_variables,
        'neurons of any other variable of the neuron model, as {"i": [0, 1]}',
        kept=False,
    )
    checkpoint_every: int | None = _count(
        None,
        "batches or pieces",
        "write the state of the simulation into the file, so that `sl.resume(path)` goes on from there exactly, after so many "
        "batches or pieces; also at the beginning and the end, and at Ctrl-C and SIGTERM",
        toml="updates between two checkpoints, from which the run goes on",
        cli="updates (batches) between two checkpoints in FILE, from which resume goes on; default: every minute",
        file=True,
    )
    checkpoint_minutes: float | str | None = option(
        "auto",
        check_minutes,
        'the same after so many minutes, where they come first. "auto": every minute of a training (`Simulator.train`), where '
        "`checkpoint_every` is None, and none of other runs; None, None: no checkpoints",
        toml='or minutes; "auto": one, where checkpoint_every is not given',
        unit="minutes",
        file=True,
    )
    keep_every: int | None = _count(
        None,
        "batches or pieces",
        "keep a state for good at the beginning and after every so many batches or pieces, each in as many bytes as the weights, "
        "the moments and a stream's traces have, so that `sl.replay` begins close to any window; checkpoints come too",
        toml="keep a state for good so many batches apart, to replay or fork the run from",
        cli="updates (batches) between two states that FILE keeps for good, from which fork and replay begin; default: none",
        file=True,
    )
    every_steps: int = _count(
        1,
        "steps",
        "of variables, readout and target only the steps 0, k, 2 k, ... of a trial, or of a piece of a stream",
        toml="of variables, readout and target only the steps 0, k, 2 k,",
    )
    windows: list[list[float | None]] | None = option(
        None,
        check_windows,
        "raw data only of these times [(start, stop), ...] in ms within a trial, or of a stream; None for an open end",
        toml="raw data only of these times within a trial, in ms, as [[0, 100], [400, 500]]",
        unit="ms",
    )
    eligibility: Mapping[str, np.ndarray] | None = option(
        None,
        lambda where, value: check_pairs(where, value, MATRICES),
        'synapses whose traces are recorded, by matrix as {"w_rec": [(pre, post), ...], "w_in": ...}; they are those of e-prop '
        "of order 1 (`snnlearn.rules.eligibility`), whatever the rule",
        toml="synapses whose traces are recorded, [pre, post], as {w_rec = [[0, 1], [3, 2]]}; w_in likewise",
    )
    eligibility_parts: Any = option(
        ("eligibility", "filtered_eligibility"),
        check_parts,
        'which: "eligibility" (e), "filtered_eligibility" (e through the readout\'s filter), "eligibility_vector" (of each '
        "variable of the neuron model)",
        toml='of them "eligibility" (e), "filtered_eligibility" (e through the readout), ...',
    )
    synapses: Mapping[str, np.ndarray] | None = option(
        None,
        lambda where, value: check_pairs(where, value, (*MATRICES, "w_out")),
        'synapses whose weights are recorded, as above ("w_out" too)',
        toml="synapses whose weights are recorded, as above; w_out likewise",
    )
    synapses_every: int = _count(
        1,
        "updates",
        "their weights come with the first batch or piece that reaches the next multiple of so many updates",
        toml="updates between two such rows",
    )
    gradient_norms: bool = _flag(
        False,
        'norms of the gradient of each update, before clipping, in the table "gradient_norms"; where update_every="trial"',
    )
    reduce: Any = option(
        None,
        lambda where, value: check_reduce(value),
        'reducers by name, or with their bins in ms as {"rates": 1000.0}; they see all steps of all trials, whatever the '
        "schedule of raw data; see `snnlearn.recording.reducers`",
        toml="statistics instead of raw data, by name or with their bins in ms, as {rates = 1000.0}",
        unit="ms",
    )
    raw: bool = _flag(
        True,
        "False: no raw data; variables, which must then be asked for all the same, serve the reducers only",
        toml="spikes, variables, readout and target; false: none of them",
    )
    tables: bool = _flag(
        True,
        "False: no row for each trial, update and alignment",
        toml="a row for each trial, update and alignment; false: none",
    )
    inputs: bool = _flag(
        False,
        "record what reaches the network, for `Recording.inputs`; `sl.replay` of a stream whose masks are ones then needs none",
    )

    def __post_init__(self) -> None:
        for name, field in FIELDS.items():
            object.__setattr__(self, name, field.metadata["check"](f"Recorder.{name}", getattr(self, name)))
        for name in self.variables:
            if name in NEURONS and getattr(self, name) is not None:
                raise fail("Recorder.variables", f"not repeat Recorder.{name}", name)
        asked = [*self.wanted, *(["eligibility"] if self.eligibility is not None else [])]
        if asked and not self.raw and "variables" not in self.reduce:
            need = "have the reducer 'variables' where variables are asked for without raw data"
            raise fail("Recorder", need, f"raw=False, {', '.join(asked)}")
        if "variables" in self.reduce and not asked:
            hint = "as v=True, raw=False"
            raise fail("Recorder.reduce", "come with variables to reduce where it names 'variables'", "none", hint)

    @property
    def wanted(self) -> dict[str, Any]:
        """Which neurons' variables are recorded: True (all), a slice or int indices by variable."""
        asked = {name: getattr(self, name) for name in NEURONS} | dict(self.variables)
        return {name: value for name, value in asked.items() if value is not None and value is not False}

    @property
    def adds_threshold(self) -> bool:
        """Whether the threshold comes with v where nothing else was said."""
        asked = self.variables.get("threshold", self.threshold)
        return asked is None and self.raw and "variables" not in self.reduce

    def kept(self) -> dict[str, Any]:
        """The options that a checkpoint holds, by name."""
        return {name: getattr(self, name) for name in OPTIONS}


FIELDS = {field.name: field for field in dataclasses.fields(RecorderOptions)}
OPTIONS = tuple(name for name, field in FIELDS.items() if field.metadata.get("kept", True))
NEURONS = tuple(name for name, field in FIELDS.items() if field.metadata["check"].__name__ == "check_neurons")
OF_FILES = tuple(name for name, field in FIELDS.items() if field.metadata.get("file"))


def options_of(owner: str, given: Mapping[str, Any], known: Iterable[str] = tuple(FIELDS)) -> RecorderOptions:
    """The options that keywords of `owner` give. Raises TypeError for one that is not `known`, and as `RecorderOptions`."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, list(known), 1)
            hint = f"did you mean {near[0]}?" if near else ""
            raise fail(owner, f"get options among {', '.join(known)}", name, hint, TypeError)
    return RecorderOptions(**given)


def takes_options(left_out: tuple[str, ...] = ()) -> Callable[[C], C]:
    """A decorator: the class's keywords are the options but for these; its docstring says {options} where they stand."""
    known = {name: field for name, field in FIELDS.items() if name not in left_out}

    def decorate(cls: C) -> C:
        function = cls.__init__  # type: ignore[misc]
        own = inspect.signature(function)
        plain = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        types = RecorderKeywords.__annotations__
        keyword = inspect.Parameter.KEYWORD_ONLY
        options = [
            inspect.Parameter(n, keyword, default=f.default, annotation=types[n].__forward_arg__) for n, f in known.items()
        ]
        function.__signature__ = own.replace(parameters=[*plain, *options])
        cls.__signature__ = own.replace(parameters=[*plain[1:], *options])  # type: ignore[attr-defined]
        if cls.__doc__:
            text = "\n".join(textwrap.fill(f"{name} : {field.metadata['text']}", **FILLED) for name, field in known.items())
            cls.__doc__ = cls.__doc__.replace("    {options}", text)
        return cls

    return decorate
