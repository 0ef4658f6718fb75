"""Own series as a task: arrays of any lengths, with a label for each, labels per step, or continuous targets.

    train        learnt from, in an order that is shuffled anew for each epoch
    validation   what a training is evaluated on, and what `stop` and `restore_best` look at
    test         looked at by `Simulator.evaluate` alone

Analog values are standardised, x -> (x - mean) / std, per channel, with the numbers of the training series alone; so are
continuous targets. The loss of a trial is a weighted mean over its own steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from .. import _check
from ..encode import make as make_encoder
from ..events import Events
from . import series
from .base import Task, Trial, frozen
from .series import Scale, Series

HELD_OUT = 97  # the second number of the generators that choose what is held out; those of trials have small ones


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Arrays(Task, listed=False):
    """What belongs to a series? ``Arrays(xs, ys, holdout=0.2, seed=0)`` of lists of arrays, one for each trial.

    xs : list of arrays [T_k, n_inputs] of any lengths, of scipy.sparse arrays or of Events; or one array [trials, T, n_inputs]
    ys : classification: a label for each series, or labels [T_k] for its steps, as whole numbers, booleans or names;
        regression: continuous targets [T_k, n_outputs], or floats [T_k]
    test : (xs, ys) of the test split; None: `holdout` of the series
    holdout, validation : fractions of the series that are held out for the test, and of the rest for validation: the same
        share of every class where there is a label for each series. 0: none. validation may be (xs, ys), too
    groups : a value for each of xs, as the subject it was taken from; series of a group are never divided between splits
    masks : weights [T_k] or [T_k, n_outputs] of the steps of each series; None: all alike. The loss of a trial is the mean with
        these weights, summed over outputs; where they are 0, the target may be anything. In test: (xs, ys, masks)
    classes : names of the classes in the order of the outputs; None: the labels that occur, sorted
    standardize : inputs, and continuous targets, per channel; None: inputs only where they are not numbers of spikes, that is,
        whole and not negative. Events and scipy.sparse arrays are taken as they are. `scaled` does the same to other inputs,
        `unscaled` the opposite to readouts
    steps_per_sample : steps of dt that each row of a series lasts; an event comes in the first of them
    augment : a function (x [T_k, n_inputs], generator) -> another variant of a training series, before it is standardised;
        drawn for each trial anew, the same for the same seed and trial. Its length may change where there is one label
    encoder : of `sl.encode`, which the network's input passes through last, after it is standardised; or a list of encoders.
        Its `steps` are then those of a row. None: analog values are currents
    n_inputs : of Events; None: up to the highest channel that occurs; with an encoder: what it makes of the channels of xs
    dt : ms

    Training is endless; validation and test trials are the series of the split in their order, of `indices(split)`. Trials keep
    their own length. A recording holds a digest of the data, by which a training that is resumed with other data is refused, but
    not the data: ``sl.resume("run.h5", task=task)``. Do not change the arrays afterwards.

    Raises ValueError or TypeError that names the parameter and the series.

    >>> import numpy as np
    >>> import snnlearn as sl
    >>> rng = np.random.default_rng(0)
    >>> xs = [rng.normal(size=(steps, 3)) for steps in (20, 35, 15, 40, 25, 30, 22, 18)]
    >>> task = sl.tasks.Arrays(xs, ["left", "right"] * 4, holdout=0.25, validation=0.25, seed=1)
    >>> task
    Arrays(8 series of 15 to 40 steps, 3 inputs, classes 'left', 'right'; 4 to train, 2 validation, 2 test)
    """

    name: ClassVar[str] = "arrays"
    pools: ClassVar[bool] = True

    xs: Any = field(kw_only=False)
    ys: Any = field(kw_only=False)
    test: Any = None
    holdout: float = 0.2
    validation: Any = 0.2
    groups: Any = None
    masks: Any = None
    classes: Any = None
    standardize: bool | None = None
    steps_per_sample: int = 1
    augment: Callable[[Any, np.random.Generator], Any] | None = None
    encoder: Any = None
    n_inputs: int = None  # type: ignore[assignment]  # becomes a number in __post_init__
    dt: float = 1.0
    seed: int = 0

    _parts: dict[str, Series] = field(init=False)  # "xs", and "test" and "validation" where they were given by themselves
    _members: dict[str, np.ndarray] = field(init=False)  # of each split, numbers within its part
    _scales: tuple[Scale | None, Scale | None] = field(init=False)  # of inputs and targets
    _lengths: tuple[int, int] = field(init=False)  # rows of the shortest and the longest series
    _width: int = field(init=False)  # channels of the series, before an encoder
    _repeat: int = field(init=False)  # steps of a row
    _n_outputs: int = field(init=False)
    _digest: str = field(init=False)

    def __post_init__(self) -> None:
        self._check_common()
        self._check_count("steps_per_sample")
        need = "be a fraction, at least 0 and below 1"
        self._check_number(need, "holdout", low=0.0, high=1.0 - 1e-9)
        if self.standardize is not None and not isinstance(self.standardize, (bool, np.bool_)):
            raise _check.fail(self._where("standardize"), "be True, False or None", self.standardize, error=TypeError)
        if self.augment is not None and not callable(self.augment):
            raise _check.fail(self._where("augment"), "be a function (x, generator) -> x", self.augment, error=TypeError)
        self._set("_repeat", self.steps_per_sample)
        if self.encoder is not None:
            self._set("encoder", make_encoder(self.encoder))
            if self.steps_per_sample != 1:
                raise _check.fail(
                    self._where("steps_per_sample"), "be 1 with an encoder, whose steps count", self.steps_per_sample
                )
            self._set("_repeat", self.encoder.steps)
        parts = {"xs": series.check_series("Arrays", self.xs, self.ys, self.masks)}
        for key in ("test", "validation"):
            value = getattr(self, key)
            if isinstance(value, (tuple, list)) and len(value) in (2, 3):
                parts[key] = series.check_series(f"Arrays.{key}", *value)
            elif key == "validation":
                self._check_number(f"{need}, or (xs, ys)", key, low=0.0, high=1.0 - 1e-9)
            elif value is not None:
                raise _check.fail(self._where(key), "be (xs, ys) or (xs, ys, masks), or None", value, error=TypeError)
        self._set("_parts", parts)
        self._take_targets(parts)
        self._take_inputs(parts)
        self._divide(parts)
        self._set("_scales", self._fit(parts))
        self._set("_digest", self._sum(parts))

    # ---- what the data are --------------------------------------------------------------------------

    def _take_targets(self, parts: dict[str, Series]) -> None:
        """Kind of the targets, classes, number of outputs; labels become numbers. In place."""
        kinds = {key: series.kind(part.ys[0]) for key, part in parts.items()}
        for key, kind in kinds.items():
            if kind != kinds["xs"]:
                raise _check.fail(self._where(key), f"have targets of the same kind as ys, {kinds['xs']}", kind)
        values = parts["xs"].ys[0].dtype.kind == "f"
        self._set("kind", "regression" if values else "classification")
        if values:
            if self.classes is not None:
                raise _check.fail(self._where("classes"), "be None, because targets are continuous", self.classes)
            widths = {y.shape[1] for part in parts.values() for y in part.ys}
            if len(widths) > 1:
                raise _check.fail(self._where("ys"), "have the same number of outputs in all series", sorted(widths))
            self._set("_n_outputs", widths.pop())
            return
        for key, part in parts.items():
            if part.masks is not None and part.masks[0].ndim == 2:
                where = self._where("masks" if key == "xs" else key)
                raise _check.fail(where, "be [T_k], a weight for each step, where targets are labels", part.masks[0].shape)
        if self.classes is None:
            known = set(series.labels(parts["xs"]))
            for key, part in parts.items():
                if unknown := sorted(set(map(str, series.labels(part))) - set(map(str, known))):
                    need = "hold labels that occur in ys, or are among classes"
                    raise _check.fail(self._where(key), need, ", ".join(map(repr, unknown[:8])))
        found, given = {x for part in parts.values() for x in series.labels(part)}, self.classes is not None
        names = series.check_classes(self.classes, list(found))
        self._set("classes", names)
        self._set("_n_outputs", len(names))
        for key, part in parts.items():
            masks: Sequence[np.ndarray | None] = [None] * len(part.ys) if part.masks is None else part.masks
            where = "Arrays.ys" if key == "xs" else f"Arrays.{key}.ys"
            ys = [
                series.numbers(y, names, given, m, f"{where}[{k}]") for k, (y, m) in enumerate(zip(part.ys, masks, strict=True))
            ]
            parts[key] = part._replace(ys=ys)

    def _take_inputs(self, parts: dict[str, Series]) -> None:
        """Number of input channels."""
        widths = {x.shape[1] for part in parts.values() for x in part.xs if not isinstance(x, Events)}
        highest = max(
            (int(x.channel.max()) + 1 for p in parts.values() for x in p.xs if isinstance(x, Events) and len(x)), default=1
        )
        if len(widths) > 1:
            raise _check.fail(self._where("xs"), "have the same number of channels in all series", sorted(widths))
        width = widths.pop() if widths else self.n_inputs or highest
        self._set("_width", width)
        if self.encoder is not None:
            for key, part in parts.items():
                for k, x in enumerate(part.xs):
                    if isinstance(x, Events) or sparse.issparse(x):
                        where = f"Arrays.{key}[{k}]" if key == "xs" else f"Arrays.{key}.xs[{k}]"
                        raise _check.fail(where, "be an analog array where an encoder is given", x)
            width = highest = self.encoder.n_channels(width)
        if self.n_inputs is None:
            self._set("n_inputs", width)
        self._check_count("n_inputs")
        if self.n_inputs != width or highest > self.n_inputs:
            raise _check.fail(self._where("n_inputs"), f"be {max(width, highest)}, the channels of xs", self.n_inputs)
        lengths = [series.length(x) for part in parts.values() for x in part.xs]
        self._set("_lengths", (min(lengths), max(lengths)))

    def _divide(self, parts: dict[str, Series]) -> None:
        """Which series belong to which split: arrays of their numbers in the part that they come from."""
        n = len(parts["xs"].xs)
        groups = None if self.groups is None else series.check_groups(self.groups, n)
        labels = np.array(parts["xs"].ys) if self.kind == "classification" and parts["xs"].ys[0].ndim == 0 else None
        own: dict[str, np.ndarray] = {key: np.arange(len(parts[key].xs)) for key in ("test", "validation") if key in parts}
        rest = np.arange(n)
        for k, (key, fraction) in enumerate((("test", self.holdout), ("validation", self.validation))):
            if key in own or not fraction:
                continue
            rng = np.random.default_rng([self.seed, HELD_OUT, k])
            held = series.held_out(rng, fraction, rest, labels, groups)
            if not 0 < held.size < rest.size:
                unit, left = "series", rest.size
                if groups is not None:
                    unit, left = "groups", np.unique(groups[rest]).size
                hint = (
                    "give more of them, or validation=0"
                    if key == "validation"
                    else "cut long series into pieces, or give test=(xs, ys)"
                )
                raise _check.fail(
                    self._where("xs"),
                    f"hold enough {unit} to hold some out for {key} and keep others to train",
                    f"{left} {unit}, of which {fraction:g} are to be held out",
                    hint,
                )
            own[key], rest = held, np.setdiff1d(rest, held)
        order = {"train": rest} | {key: own[key] for key in ("test", "validation") if key in own}
        self._set("_members", {key: frozen(index) for key, index in order.items()})
        self._set("splits", tuple(order))

    def _fit(self, parts: dict[str, Series]) -> tuple[Scale | None, Scale | None]:
        """Scales of inputs and targets, of the training series."""
        train, index = parts["xs"], self._members["train"]
        dense = not any(isinstance(x, Events) or sparse.issparse(x) for part in parts.values() for x in part.xs)
        inputs = targets = None
        counts = self.standardize is None and dense and all(series.are_counts(train.xs[k]) for k in index)
        if self.standardize and not dense:
            raise _check.fail(self._where("standardize"), "be None or False for Events and sparse arrays", self.standardize)
        if self.standardize is not False and dense and not counts:
            inputs = series.fit_scale([train.xs[k] for k in index])
        if self.standardize is not False and self.kind == "regression":
            masks = train.masks
            targets = series.fit_scale([train.ys[k] for k in index], None if masks is None else [masks[k] for k in index])
        return inputs, targets

    def _sum(self, parts: dict[str, Series]) -> str:
        """A digest of all data."""
        digest = hashlib.blake2b(digest_size=16)
        for key, part in parts.items():
            digest.update(f"{key}{len(part.xs)}".encode())
            for array in (*part.xs, *part.ys, *(part.masks or ())):
                for piece in series.pieces(array):
                    digest.update(f"{piece.dtype.str}{piece.shape}".encode())
                    digest.update(np.ascontiguousarray(piece).data if piece.size else b"")
        digest.update(repr([index.tolist() for index in self._members.values()]).encode())
        return digest.hexdigest()

    # ---- what a task is -----------------------------------------------------------------------------

    @property
    def n_outputs(self) -> int:
        return self._n_outputs

    @property
    def n_steps(self) -> int:
        return self._lengths[1] * self._repeat

    @property
    def labels(self) -> tuple[str, ...] | None:
        return self.classes

    @property
    def digest(self) -> str:
        """Of all the data and how they are divided."""
        return self._digest

    def n_trials(self, split: str = "train") -> int | None:
        """Series of a split; None (endless) for "train", where an epoch is `n_samples()` trials."""
        return None if self._split(split) == "train" else self.n_samples(split)

    def n_samples(self, split: str = "train") -> int:
        """Number of series of a split."""
        return self.indices(split).size

    def indices(self, split: str = "train") -> np.ndarray:
        """Which of xs belong to a split; where the split was given by itself, which of its own xs."""
        return self._members[self._split(split)]

    @property
    def scale(self) -> Scale | None:
        """Mean and deviation of each input channel in the training series; None where inputs are taken as they are."""
        found: Scale | None = self._scales[0]
        return found

    def scaled(self, x: Any) -> np.ndarray:
        """Inputs [..., n_inputs] as the network gets them."""
        return series.apply(self._scales[0], np.asarray(x, float))

    def unscaled(self, y: Any) -> np.ndarray:
        """Readouts [..., n_outputs] in the units of the targets that were given."""
        scale: Scale | None = self._scales[1]
        return np.asarray(y, float) if scale is None else np.asarray(y) * scale.std + scale.mean

    def to_dict(self) -> dict[str, Any]:
        """Name, digest of the data and parameters as JSON values: data in memory are told apart, but cannot be given back."""
        data = ("xs", "ys", "test", "masks", "groups", "classes", "augment", "validation", "encoder")
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.init and f.name not in data}
        values |= {"validation": "given" if isinstance(self.validation, (tuple, list)) else self.validation}
        values |= {"classes": None if self.classes is None else list(self.classes)}
        values |= {"augment": None if self.augment is None else getattr(self.augment, "__qualname__", repr(type(self.augment)))}
        values |= {"encoder": None if self.encoder is None else self.encoder.to_dict()}
        return {"name": self.name, "foreign": "series in memory", "at": "task", "digest": self.digest, **values}

    def matches(self, values: dict[str, Any]) -> bool:
        """Whether `values`, of `to_dict`, describe the same trials."""
        mine = self.to_dict()
        return {key: values.get(key) for key in mine} == mine

    def __repr__(self) -> str:
        low, high = self._lengths
        count = sum(len(part.xs) for part in self._parts.values())
        what = f"{self.n_outputs} targets"
        if self.classes is not None:
            shown = ", ".join(map(repr, self.classes[:4]))
            what = f"classes {shown}" if len(self.classes) <= 4 else f"{len(self.classes)} classes {shown}, ..."
        split = ", ".join(f"{index.size} {'to ' * (key == 'train')}{key}" for key, index in self._ordered())
        steps = f"{low} to {high}" if low < high else str(low)
        return f"Arrays({count} series of {steps} steps, {self.n_inputs} inputs, {what}; {split})"

    def _ordered(self) -> list[tuple[str, np.ndarray]]:
        index = self._members
        return [(key, index[key]) for key in ("train", "validation", "test") if key in index]

    def _draw(self, rng: np.random.Generator, split: str, index: int) -> Trial:
        numbers = self._members[split]
        part: Series = self._parts.get(split, self._parts["xs"])
        k = int(numbers[self._in_epochs(index, numbers.size) if split == "train" else index])
        x, y, repeat = part.xs[k], part.ys[k], self._repeat
        if split == "train" and self.augment is not None:
            x = self._augmented(x, y.ndim > 0 or part.masks is not None, rng, k)
        n_steps = series.length(x)
        weight = np.ones(n_steps) if part.masks is None else part.masks[k]
        mask = weight * (weight.shape[1] if weight.ndim == 2 else 1) / (repeat * weight.sum())
        if self.kind == "regression":
            y = np.where(np.isfinite(y), series.apply(self._scales[1], y), 0.0)
        if y.ndim:
            y = frozen(np.repeat(y, repeat, axis=0))
        return Trial(self._repeated(x, rng), y if y.ndim else int(y), frozen(np.repeat(mask, repeat, axis=0)))

    def _augmented(self, x: Any, bound: bool, rng: np.random.Generator, k: int) -> Any:
        """Another variant of series k. bound : whether its length must stay"""
        assert self.augment is not None
        x = self.augment(x if isinstance(x, Events) else x.copy(), rng)
        where = f"Arrays.augment of series {k}"
        new = series.check_x(where, x)
        width = self._width if isinstance(new, Events) else new.shape[1]
        if width != self._width:
            raise _check.fail(where, f"return {self._width} channels", width)
        if bound and series.length(new) != series.length(self._parts["xs"].xs[k]):
            need = f"keep its {series.length(self._parts['xs'].xs[k])} steps, because targets or weights belong to them"
            raise _check.fail(where, need, series.length(new))
        return new

    def _repeated(self, x: Any, rng: np.random.Generator) -> Any:
        """A series as the network gets it: scaled, and encoded or each row as often as it lasts."""
        repeat = self._repeat
        if self.encoder is not None:
            found = self.encoder.encode(series.apply(self._scales[0], x), rng)
            return found if isinstance(found, Events) else frozen(found)
        if isinstance(x, Events):
            return x if repeat == 1 else Events(x.step * repeat, x.channel, x.n_steps * repeat)
        if sparse.issparse(x):
            x = x.tocoo()
            if (x.data == 1).all():
                order = np.argsort(x.row, kind="stable")
                step = (x.row[order, None] * repeat + np.arange(repeat)).reshape(-1)
                return Events(step, np.repeat(x.col[order], repeat), x.shape[0] * repeat)
            x = x.toarray()
        return frozen(np.repeat(series.apply(self._scales[0], x), repeat, axis=0))
