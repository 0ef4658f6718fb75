"""`Config`: a run as one value, and as a TOML file.

    config = sl.load_config("run.toml")        # checked as a whole; an error names the line and the key
    history = config.run("run.h5")             # the same, bit for bit, as the run that a program would write by hand
    config.updated({"optimizer.lr": 1e-3})     # another configuration
    sl.Config.of_recording("run.h5")           # what a recording was made with

A configuration is written down in plain values (`to_dict`), by the encoding of `spec`: a spec is a table with its class as
`type`, and every field of every spec can be given. In TOML, None is the text "none", and a large array may stand in a file:
{file = "mask.npz", array = "mask"}. Left out are n_inputs, readout.n and dt where they are the task's, and what has a default.

    seed, dtype, update_every, threads, passive_every      of `Simulator`
    [task]                 name and parameters, as of `tasks.make`
    [network]              of `Network`, with [[network.neurons]] and [network.readout], [network.recurrent], [network.inputs]
    [weights]              `InitialWeights`
    [rule] [optimizer] [loss] [regularizer] [rewiring] [[passive]]    specs
    [training]             `TrainingPlan`
    [recorder]             options of `Recorder`, and `path`
    [sweep]                see `sweep`
"""

from __future__ import annotations

import dataclasses
import hashlib
import inspect
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .. import _check
from ..engine.checks import check_parts
from ..engine.functional import check_dtype
from ..engine.rewiring import check_rewiring
from ..losses import Loss, MeanSquaredError, RateRegularizer
from ..network.network import Network
from ..optimizers.optimizers import Optimizer
from ..optimizers.rewiring import DeepR
from ..recording import Recorder
from ..recording.options import OPTIONS as RECORDER_OPTIONS
from ..rules import Rule
from ..simulator.core import RECORDABLE
from ..simulator.history import History
from ..simulator.simulator import Simulator
from ..simulator.training import check_options, train_to_end
from ..tasks.base import Task
from ..tasks.classification import Classification, content
from . import reading, writing
from .grid import points
from .settings import SPECS, VARIABLES, InitialWeights, TrainingPlan

NEVER_DIGESTED = ("threads", "sweep")  # results do not depend on them
MEANT = (("loss", "of", "steps"), ("task", "padded", True))  # where a section lacks an entry: digested like one that does


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Config:
    """A training, complete: everything that its result depends on, and how it is recorded.

    task : a `Task`; net : `Network`; weights : `InitialWeights`; training : `TrainingPlan`
    rule, optimizer, loss, regularizer, rewiring, passive, passive_every, update_every, dtype, seed, threads : of `Simulator`
    recorder : options of `Recorder` besides `path` and `overwrite`
    path : the recording, where `run` is given none
    sweep : what `sweep` varies
    folder : to which paths in the configuration are relative; where a file was, which is not part of the configuration

    Two configurations are equal where `to_dict` is. Raises ValueError or TypeError, as the specs do, for what does not fit.
    """

    task: Task
    net: Network
    rule: Rule
    optimizer: Optimizer
    training: TrainingPlan
    loss: Loss = dataclasses.field(default_factory=MeanSquaredError)
    regularizer: RateRegularizer | None = None
    rewiring: DeepR | None = None
    passive: tuple[Rule, ...] = ()
    passive_every: int = 1
    update_every: str | int = "trial"
    dtype: str = "float32"
    seed: int = 0
    threads: int | None = None
    weights: InitialWeights = dataclasses.field(default_factory=InitialWeights)
    recorder: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    path: str | None = None
    sweep: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    folder: str = ""

    def __post_init__(self) -> None:
        passive = (self.passive,) if isinstance(self.passive, Rule) else self.passive
        object.__setattr__(self, "passive", _check.items("Config.passive", passive, "be learning rules such as [sl.BPTT()]"))
        for name, kind in (("task", Task), ("net", Network), ("weights", InitialWeights), ("training", TrainingPlan)):
            if not isinstance(getattr(self, name), kind):
                raise _check.fail(f"Config.{name}", f"be of class {kind.__name__}", getattr(self, name), error=TypeError)
        for rule in (self.rule, *self.passive):
            check_parts("Config", rule, self.optimizer, self.loss, self.regularizer)
        for name in ("recorder", "sweep"):
            if not isinstance(getattr(self, name), Mapping):
                raise _check.fail(f"Config.{name}", "be a dict of options", getattr(self, name), error=TypeError)
        plan = self.training
        check_options(self, self.task, plan.trials, plan.batch, plan.start, plan.evaluate_every, plan.evaluate_trials, plan.stop)
        need, every = "be 'trial' or a positive number of steps", self.update_every
        if isinstance(every, str) and every != "trial":
            raise _check.fail("Config.update_every", need, every)
        if not isinstance(every, str):
            _check.integer("Config.update_every", every, need, low=1)
        if self.threads is not None:
            _check.threads("Config.threads", self.threads)
        for rule in (self.rule, *self.passive):
            rule.direction(None if isinstance(self.update_every, str) else self.update_every, False, False)
            rule.feedback_matrix(self.net)
        interval = None if isinstance(every, str) else int(every)
        check_rewiring("Config", self.rewiring, self.net, (self.rule, *self.passive), self.optimizer, interval)
        check_dtype("Config.dtype", self.dtype)
        self.make_recorder("unused", overwrite=True).selection(self.net.n, (*self.net.variables, *RECORDABLE))
        points(self.sweep)
        defaults = {name: parameter.default for name, parameter in inspect.signature(Recorder).parameters.items()}
        given = {name: x for name, x in self.recorder.items() if not _same(x, defaults[name])}
        object.__setattr__(self, "recorder", given)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.digest)

    # ---- running ------------------------------------------------------------------------------------

    def simulator(self, threads: int | None = None) -> Simulator:
        """The simulator, before its first trial. threads : None: the configuration's"""
        weights = self.weights.make(self.net, self.seed, pathlib.Path(self.folder))
        parts = self.parts() | {"passive_every": self.passive_every}
        return Simulator(self.net, weights, **parts, threads=self.threads if threads is None else threads)

    def parts(self) -> dict[str, Any]:
        """Arguments of `Simulator`, and of `plan`, besides network, weights, threads and passive_every."""
        names = (*SPECS, "update_every", "dtype", "seed", "passive")
        return {name: getattr(self, name) for name in names}

    def make_recorder(self, path: str | os.PathLike[str], overwrite: bool = False) -> Recorder:
        """The recorder, which has no file yet."""
        options = dict(self.recorder)
        for name in options:
            _check.choice("Config.recorder option", name, (*RECORDER_OPTIONS, *VARIABLES))
        variables = options.pop("variables", None)
        for name in VARIABLES[:-1]:
            options[name] = _slice(f"Recorder.{name}", options.get(name))
        if variables is not None:
            options["variables"] = {k: _slice(f"Recorder.variables.{k}", x) for k, x in variables.items()}
        return Recorder(path, overwrite=overwrite, **options)

    def run(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        threads: int | None = None,
        callbacks: Iterable[Callable[[Any, History], Any]] = (),
        context: Mapping[str, Any] | None = None,
    ) -> History:
        """Run the training; the recording holds this configuration.

        path : of the recording; None: `path` of the configuration, and no recording where there is none either
        overwrite, threads, callbacks : as of `Recorder`, `Simulator` and `train`
        context : what else the recording's configuration should say, as JSON values

        Raises as `Recorder`, `Simulator` and `Simulator.train`.
        """
        simulator, recorder = self.prepare(path, overwrite=overwrite, threads=threads, context=context)
        plan = self.training
        return train_to_end(simulator, recorder, self.task, plan.trials, plan.batch, callbacks=callbacks, **plan.options())

    def prepare(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        overwrite: bool = False,
        threads: int | None = None,
        context: Mapping[str, Any] | None = None,
    ) -> tuple[Simulator, Recorder | None]:
        """The simulator and the recorder of `run`, with its arguments, before anything runs or is written."""
        if path is None and self.path is not None:
            path = pathlib.Path(self.folder) / self.path
        recorder = None if path is None else self.make_recorder(path, overwrite)
        simulator = self.simulator(threads)
        self.sign(simulator)
        simulator.context |= dict(context or {})
        return simulator, recorder

    def sign(self, simulator: Simulator) -> None:
        """Have recordings of a simulator hold this configuration."""
        simulator.context |= {"run": self.to_dict(), "digest": self.digest}

    # ---- as plain values ----------------------------------------------------------------------------

    @property
    def digest(self) -> str:
        """A text that tells configurations with different results, or different recordings of them, apart.

        Recorded events count by their content, wherever they lie.
        """
        values = {name: value for name, value in self.to_dict().items() if name not in NEVER_DIGESTED}
        values["recorder"] = {name: value for name, value in values["recorder"].items() if name != "path"}
        if isinstance(self.task, Classification):
            values["task"] = content(values["task"])
        for section, name, meant in MEANT:
            if isinstance(values[section], dict) and values[section].get(name) == meant:
                values[section] = {key: value for key, value in values[section].items() if key != name}
        return hashlib.blake2b(json.dumps(values, sort_keys=True).encode(), digest_size=16).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """Sections and values: numbers, texts, lists and dicts; "none" for None. `Config.from_dict` gives it back.

        Raises ValueError for parts that are not the package's, as a schedule that is a function.
        """
        return writing.plain(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: str = "config", folder: str | os.PathLike[str] = "") -> Config:
        """The configuration of these values, as `tomllib` gives them. Errors name the key, as "config, optimizer.lr: ..."

        where : what errors call the source; folder : to which paths in it are relative
        """
        return reading.build(values, where, folder, cls)

    @classmethod
    def of_recording(cls, path: str | os.PathLike[str], moved: Mapping[str, Any] | None = None) -> Config:
        """The configuration with which a recording of a training was made.

        moved : where recorded events lie now that lay elsewhere, as {"train": path, "test": path}; see `load_config`

        Of one that was made with given weights they are the first snapshot (`Recorder(weights_every=...)`).
        Raises ValueError where the recording is not of a training, or lacks something, as a mask or a user's own task, and as
        `load_config` for its data.
        """
        return reading.of_recording(path, cls, moved)

    def updated(self, changes: Mapping[str, Any]) -> Config:
        """The configuration with other values at dotted keys: {"optimizer.lr": 1e-3, "network.neurons.0.n": 50}.

        Values are plain values or specs. "rule" may be a name of `parse_rule`, as "eprop:2", which keeps feedback and seed;
        "seeds" stands for seed, task.seed and rule.seed. Raises ValueError for a key that is not there.
        """
        return type(self).from_dict(writing.updated(self, changes), "Config.updated", self.folder)

    def with_sweep(self, sweep: Mapping[str, Any]) -> Config:
        """The same run with another [sweep] table."""
        return dataclasses.replace(self, sweep=sweep)

    def to_toml(self, comments: bool = True) -> str:
        """The text of a TOML file. comments : say what each key is"""
        return writing.to_toml(self, comments)

    def save(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        """Write a TOML file. Raises FileExistsError, FileNotFoundError (no such folder), OSError."""
        path = pathlib.Path(path)
        if path.exists() and not overwrite:
            raise FileExistsError(f"{path} exists already; overwrite=True replaces it")
        path.write_text(self.to_toml(), encoding="utf-8")


def load_config(path: str | os.PathLike[str], moved: Mapping[str, Any] | None = None) -> Config:
    """The configuration in a TOML file, or that of a recording ("run.h5"; see `Config.of_recording`).

    moved : where recorded events lie, instead of where the file says: {"train": path, "test": path}

    Raises FileNotFoundError (also for data that are gone), ValueError (not TOML; a key that is unknown, missing or wrong, named
    with its line; data whose content is another), TypeError.
    """
    return reading.load(path, Config, moved)


def change_parts(parts: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Those specs and numbers among `parts` that change, with other values at dotted keys, as of `Config.updated`.

    where : what an error calls the changes. Raises ValueError for a key that is not there, and as the specs do.
    """
    return reading.parts(writing.changed_parts(parts, changes, where), where)


def _same(value: Any, default: Any) -> bool:
    """Whether an option has its default, written as a list or not."""
    return value is default or (list(value) == list(default) if isinstance(default, tuple) else value == default)


def _slice(where: str, value: Any) -> Any:
    """Neurons of a recorder: a text "a:b" or "a:b:c" is a slice."""
    if not isinstance(value, str):
        return value
    parts = value.split(":")
    if not 2 <= len(parts) <= 3 or not all(part == "" or part.lstrip("-").isdecimal() for part in parts):
        raise _check.fail(where, "be true, a list of neurons, or a range such as '0:10'", value)
    return slice(*(int(part) if part else None for part in parts))
