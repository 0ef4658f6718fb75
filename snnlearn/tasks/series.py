"""Series of different lengths with what belongs to them: checked, divided, standardised."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from .. import _check
from ..events import Events

LABELS = "be a label, labels [T], or targets [T, n_outputs]"


class Series(NamedTuple):
    """Series with their targets, checked."""

    xs: list[Any]  # Events, csr_array [T, n] or array [T, n]
    ys: list[np.ndarray]  # [] label, [T] labels or [T, n_out] floats
    masks: list[np.ndarray] | None  # [T] or [T, n_out]


class Scale(NamedTuple):
    """Mean and standard deviation of each channel, [n]; 1 instead of a deviation of 0."""

    mean: np.ndarray
    std: np.ndarray


def check_series(where: str, xs: Any, ys: Any, masks: Any = None) -> Series:
    """Series and targets that belong together; ValueError or TypeError that names what does not fit, and where."""
    inputs = [check_x(f"{where}.xs[{k}]", x) for k, x in enumerate(_items(f"{where}.xs", xs))]
    targets = _items(f"{where}.ys", ys)
    if len(targets) != len(inputs):
        raise _check.fail(f"{where}.ys", f"hold a target for each of {len(inputs)} series", f"{len(targets)} of them")
    weights = None
    if masks is not None:
        given = _items(f"{where}.masks", masks)
        if len(given) != len(inputs):
            raise _check.fail(f"{where}.masks", f"hold weights for each of {len(inputs)} series", f"{len(given)} of them")
        weights = [_check_mask(f"{where}.masks[{k}]", m, length(x)) for k, (m, x) in enumerate(zip(given, inputs, strict=True))]
    found = []
    for k, (y, x) in enumerate(zip(targets, inputs, strict=True)):
        found.append(_check_y(f"{where}.ys[{k}]", y, length(x), None if weights is None else weights[k]))
    for name, arrays in (("ys", found), ("masks", weights or found[:1])):
        first = (arrays[0].ndim, arrays[0].dtype.kind == "f")
        for k, array in enumerate(arrays):
            if (array.ndim, array.dtype.kind == "f") != first:
                raise _check.fail(
                    f"{where}.{name}[{k}]", f"be of the same kind as {where}.{name}[0], {kind(arrays[0])}", kind(array)
                )
    return Series(inputs, found, weights)


def check_x(where: str, x: Any) -> Any:
    """A series: Events, a csr_array [T, n], or a finite array [T, n]."""
    if isinstance(x, Events):
        return x
    if sparse.issparse(x):
        return _check.csr(where, x)
    array = _check.numbers(where, x, "be an array [T, n_inputs] of numbers, a scipy.sparse array or Events")
    if array.ndim != 2 or 0 in array.shape:
        hint = "x[:, None] is a series of one channel" if array.ndim == 1 else ""
        raise _check.fail(where, "have shape [T, n_inputs]", array.shape, hint)
    _check.finite(where, array)
    return array


def length(x: Any) -> int:
    """Steps of a series."""
    return x.n_steps if isinstance(x, Events) else int(x.shape[0])


def labels(part: Series) -> Iterator[Any]:
    """Labels that occur where the weights are not 0."""
    for k, y in enumerate(part.ys):
        yield from np.unique(y if part.masks is None or y.ndim == 0 else y[part.masks[k] > 0]).tolist()


def check_classes(names: Any, occurring: list[Any]) -> tuple[str, ...]:
    """Names of the classes; ValueError or TypeError for labels that are none of them."""
    where = "Arrays.classes"
    if names is None:
        if len({isinstance(x, str) for x in occurring}) > 1:
            raise _check.fail("Arrays.ys", "hold names or numbers, not both", sorted(map(str, occurring))[:8], error=TypeError)
        names = [str(x) for x in sorted(occurring)]
        if len(names) < 2:
            hint = "continuous targets are floats [T, n_outputs]; classes= names those that do not occur"
            raise _check.fail("Arrays.ys", "hold two different labels or more", f"only {', '.join(map(repr, names))}", hint)
    else:
        given = names
        names = () if isinstance(given, str) else _check.items(where, given, "be a list of names")
        if isinstance(given, str) or not all(isinstance(x, str) for x in names):
            raise _check.fail(where, "be names", given, error=TypeError)
    names = tuple(names)
    if len(names) < 2 or len(set(names)) < len(names):
        raise _check.fail(where, "be two different names or more", list(names))
    return names


def numbers(y: np.ndarray, names: tuple[str, ...], given: bool, mask: np.ndarray | None, where: str) -> np.ndarray:
    """Labels as numbers of the classes, 0 where the weights are 0.

    given : whether whole numbers are those of the classes already, because the classes were given
    """
    place = {name: k for k, name in enumerate(names)}
    counts = given and y.dtype.kind in "iu"
    used = np.ones(y.shape, bool) if mask is None or y.ndim == 0 else mask > 0
    found = np.zeros(y.shape, np.int64)
    for label in np.unique(y[used]).tolist():
        number = label if counts and 0 <= label < len(names) else place.get(str(label))
        if number is None:
            need = f"be one of the classes {', '.join(map(repr, names[:8]))}" + (f", or 0 .. {len(names) - 1}" if given else "")
            raise _check.fail(where, need, label)
        found[used & (y == label)] = number
    return found


def check_groups(groups: Any, n: int) -> np.ndarray:
    """A number of its group for each series."""
    given = _items("Arrays.groups", groups)
    if len(given) != n:
        raise _check.fail("Arrays.groups", f"hold a value for each of {n} series", f"{len(given)} of them")
    for k, value in enumerate(given):
        if value is None or value != value:  # nan: nobody knows whose series they are
            raise _check.fail(f"Arrays.groups[{k}]", "be known, so that nobody is in two splits", value)
    return np.unique([str(value) for value in given], return_inverse=True)[1]


def held_out(
    rng: np.random.Generator, fraction: float, members: np.ndarray, labels: np.ndarray | None, groups: np.ndarray | None
) -> np.ndarray:
    """A fraction of the members: whole groups, or the same share of every class, or any. Sorted; 0 and all are possible."""
    if groups is not None:
        taken, size = np.zeros(0, np.int64), max(1, round(fraction * members.size))
        for group in rng.permutation(np.unique(groups[members])):
            if taken.size >= size:
                break
            taken = np.append(taken, members[groups[members] == group])
        return np.sort(taken)
    if labels is None:
        return np.sort(rng.permutation(members)[: max(1, round(fraction * members.size))])
    parts = []
    for label in np.unique(labels[members]):
        own = rng.permutation(members[labels[members] == label])
        parts.append(own[: max(own.size > 1, round(fraction * own.size))])
    return np.sort(np.concatenate(parts))


def fit_scale(arrays: Sequence[np.ndarray], masks: Sequence[np.ndarray] | None = None) -> Scale:
    """Mean and deviation of arrays [T, n] over all their steps, or those that are not masked by 0; float64."""
    total: Any = 0.0
    weights: Sequence[np.ndarray | None] = [None] * len(arrays) if masks is None else masks
    used = [np.ones(a.shape) if m is None else _spread(m, a) for a, m in zip(arrays, weights, strict=True)]
    count = sum(u.sum(axis=0) for u in used)
    mean = sum((u * np.where(u > 0, a, 0.0)).sum(axis=0) for u, a in zip(used, arrays, strict=True)) / np.maximum(count, 1)
    for u, a in zip(used, arrays, strict=True):
        total = total + (u * (np.where(u > 0, a, 0.0) - mean) ** 2).sum(axis=0)
    std = np.sqrt(total / np.maximum(count, 1))
    return Scale(mean, np.where(std > 1e-12 * np.maximum(np.abs(mean), 1e-300), std, 1.0))


def apply(scale: Scale | None, values: np.ndarray) -> np.ndarray:
    """Standardised values [..., n]."""
    return values if scale is None else (values - scale.mean) / scale.std


def are_counts(x: np.ndarray) -> bool:
    """Whether all values are whole and not negative, as numbers of spikes."""
    return x.dtype.kind in "bu" or bool((x >= 0).all() and (x.dtype.kind == "i" or (x == np.rint(x)).all()))


def pieces(value: Any) -> tuple[np.ndarray, ...]:
    """The arrays of which a series, a target or weights consist."""
    if isinstance(value, Events):
        return np.array(value.n_steps), value.step, value.channel
    if sparse.issparse(value):
        return np.array(value.shape), value.indptr, value.indices, value.data
    return (value,)


def _items(where: str, values: Any) -> list[Any]:
    """The entries of a list, or of an array along its first axis."""
    if isinstance(values, (str, bytes, dict, Events)) or sparse.issparse(values) or not hasattr(values, "__len__"):
        raise _check.fail(where, "be a list with an entry for each series, or an array [trials, ...]", values, error=TypeError)
    if hasattr(values, "to_numpy"):  # a column of a data frame
        values = values.to_numpy()
    if not len(values):
        raise _check.fail(where, "hold a series or more", values)
    return list(values)


def _check_y(where: str, y: Any, n_steps: int, mask: np.ndarray | None) -> np.ndarray:
    """A label [], labels [T], or floats [T, n_out]."""
    names = np.asarray(y) if not isinstance(y, np.ma.MaskedArray) else None
    if names is not None and names.dtype.kind == "O":
        names = np.array(names.tolist())
    array = (
        names if names is not None and names.dtype.kind == "U" else _check.numbers(where, y if names is None else names, LABELS)
    )
    if array.ndim and array.shape[0] != n_steps:
        raise _check.fail(where, f"have as many steps as its series, {n_steps}, or be one label", array.shape)
    if array.dtype.kind not in "biufU" or array.ndim > 2:
        raise _check.fail(where, LABELS, y, error=TypeError)
    if array.ndim == 0 and array.dtype.kind == "f":
        if not np.isfinite(array) or array != np.rint(array):
            hint = "np.full((T, 1), y) is one target for all steps"
            raise _check.fail(where, "be a whole number, a boolean or a name where it is one label", y, hint)
        array = array.astype(np.int64)
    if array.ndim == 2 or array.dtype.kind == "f":
        if array.dtype.kind == "U":
            raise _check.fail(where, "be numbers where it has shape [T, n_outputs]", y, error=TypeError)
        array = array.astype(np.float64).reshape(n_steps, -1)
        wrong = ~np.isfinite(array) & (True if mask is None else _spread(mask, array, where) > 0)
        if wrong.any():
            at = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise _check.fail(where, "be finite where its weights are not 0", float(array[at]), f"at index {at}")
    return array


def _check_mask(where: str, mask: Any, n_steps: int) -> np.ndarray:
    found = np.ones(n_steps) if mask is None else _check.numbers(where, mask).astype(np.float64)
    if found.ndim not in (1, 2) or found.shape[0] != n_steps:
        raise _check.fail(where, f"have shape [{n_steps}] or [{n_steps}, n_outputs]", found.shape)
    _check.finite(where, found)
    if (found < 0).any() or not found.any():
        raise _check.fail(where, "hold weights, not negative and not all 0", mask)
    return found


def _spread(mask: np.ndarray, values: np.ndarray, where: str = "Arrays.masks") -> np.ndarray:
    """1 for each step and output [T, n] that a mask [T] or [T, n] does not leave out, else 0."""
    used = (mask > 0).astype(np.float64)
    if used.ndim == 2 and used.shape != values.shape:
        raise _check.fail(where, f"have weights of shape {values.shape}, or [T]", used.shape)
    return np.broadcast_to(used if used.ndim == 2 else used[:, None], values.shape)


def kind(array: np.ndarray) -> str:
    """What a target or a mask is, in words."""
    names = {(0, False): "one label", (1, False): "labels [T]", (2, True): "targets [T, n_outputs]", (1, True): "weights [T]"}
    return names.get((array.ndim, array.dtype.kind == "f"), str(array.shape))
