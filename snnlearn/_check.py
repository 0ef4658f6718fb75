"""One error sentence for the whole package: where, need, got, hint.

LIF.tau_m must be a positive time in ms (got -20.0)

What callers give becomes numbers and arrays here and only here: `number`, `integer`, `flag`, `items`, `numbers`, `array`, `csr`.
They take what can mean one thing only, and refuse the rest: NumPy itself would drop imaginary parts and masks, read strings as
numbers, turn what is too large into infinity, and trust the indices of a sparse matrix.
"""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from numbers import Real
from typing import Any

import numpy as np
from scipy import sparse

WIDEST = 2**63
MOST = 2**31 - 1  # neurons, channels and steps are counted by int32 in places
MOST_THREADS = 4096  # more than any machine has cores
TOLERANCE = 1e-6  # relative, of times: a step of float32(0.1) ms, or the difference of two times, is one of 0.1 ms
LONGEST = 400  # characters of the line that stands for a record


def fail(where: str, need: str, got: Any, hint: str = "", error: type[Exception] = ValueError) -> Exception:
    """The exception to raise: ``raise fail("LIF.tau_m", "be a positive time in ms", -20.0)``."""
    return error(f"{where} must {need} (got {show(got)})" + (f"; {hint}" if hint else ""))


def need(module: str, what: str, package: str | None = None) -> Any:
    """An optional module: ``need("pynwb.misc", "export", "pynwb")``. Raises ImportError that names the package to install."""
    try:
        return import_module(module)
    except ImportError as error:
        package = package or module.partition(".")[0]
        raise ImportError(f"{what} needs {package}: pip install {package}") from error


def machine_bytes() -> int:
    """Bytes of memory of this machine, or what is certainly too much where the system does not tell."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**62


def size_text(n: float) -> str:
    """So many bytes in words."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if n >= scale:
            return f"{n / scale:.3g} {unit}"
    return f"{n:.0f} B"


def show(value: Any) -> str:
    """A value in a few characters on one line: arrays by shape and dtype, long texts cut, paths at their beginning."""
    if isinstance(value, np.ndarray) and value.size > 4:
        return f"array of shape {value.shape} and dtype {value.dtype}"
    try:
        text = " ".join(repr(value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value).split())
    except Exception:  # an integer of thousands of digits, or an object whose own `repr` fails
        text = f"<{type(value).__name__}>"
    if len(text) <= 80:
        return text
    is_path = isinstance(value, os.PathLike) or (isinstance(value, str) and os.sep in value and "\n" not in value)
    return f"'...{text[-76:]}" if is_path and text.endswith("'") else text[:77] + "..."  # which file it is, its end tells


def slice_text(value: slice) -> str:
    """A slice as it stands in brackets: "10:20"."""
    return ":".join("" if x is None else str(x) for x in (value.start, value.stop, value.step)[: 2 if value.step is None else 3])


def brief(record: Any) -> str:
    """A NamedTuple or dataclass as one line, for its `repr`: numbers with four digits, arrays by type and shape."""
    names = getattr(record, "_fields", None) or [f.name for f in dataclasses.fields(record) if f.repr]
    text = f"{type(record).__name__}({', '.join(f'{name}={_part(getattr(record, name))}' for name in names)})"
    return text if len(text) <= LONGEST else text[: LONGEST - 4] + "...)"


def _part(value: Any) -> str:
    """A value within a line."""
    if (isinstance(value, np.ndarray) and value.size > 4) or hasattr(value, "nnz"):
        return f"{value.dtype} {list(value.shape)}" + (f" with {value.nnz} entries" if hasattr(value, "nnz") else "")
    if isinstance(value, (np.ndarray, np.generic)):
        return _part(value.tolist())
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key!r}: {_part(x)}" for key, x in value.items()) + "}"
    if hasattr(value, "_fields") or dataclasses.is_dataclass(value):
        return f"{type(value).__name__}(...)"
    if isinstance(value, (list, tuple)):
        if len(value) > 4 or any(isinstance(x, (list, tuple, np.ndarray)) and len(x) > 4 for x in value):
            return f"{type(value).__name__} of {len(value)}"
        ends = "[]" if isinstance(value, list) else "()"
        return ends[0] + ", ".join(map(_part, value)) + ("," if ends == "()" and len(value) == 1 else "") + ends[1]
    return show(value).replace("\n", " ")


def number(
    where: str, value: Any, need: str, low: float = -np.inf, high: float = np.inf, strict: bool = False, endless: bool = False
) -> float:
    """A finite float in [low, high] (or, with `strict`, above low). endless : infinity as well"""
    if not isinstance(value, (Real, np.bool_)):
        scalar = numbers(where, value, need)  # a tensor of no dimensions
        if scalar.ndim or isinstance(value, (list, tuple)):
            raise fail(where, need, value, error=TypeError)
        value = scalar[()]
    try:
        x = float(value)
    except OverflowError:
        raise fail(where, need, value) from None
    finite = np.isfinite(x) or (endless and x == np.inf)
    if not finite or x < low or x > high or (strict and x <= low) or isinstance(value, (bool, np.bool_)):
        raise fail(where, need, value)
    return x


def integer(where: str, value: Any, need: str = "be a whole number", low: int | None = None, high: int | None = None) -> int:
    """A whole number in [low, high], of 64 bits at most."""
    result = seed(where, value, need, -WIDEST if low is None else low)
    if result > (WIDEST - 1 if high is None else high):
        raise fail(where, need, value)
    return result


def seed(where: str, value: Any, need: str = "be a whole number, not negative", low: int = 0) -> int:
    """A whole number of any size, for NumPy's generators."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
        raise fail(where, need, value, error=TypeError)
    if value < low:
        raise fail(where, need, value)
    return int(value)


def at_most(where: str, value: Any, most: int, need: str = "be a positive number", low: int = 1) -> int:
    """A whole number in [low, most]; what is larger is told the limit."""
    count = seed(where, value, need, low)
    if count > most:
        raise fail(where, f"be at most {most}", value)
    return count


def threads(where: str, value: Any) -> int:
    """A number of threads or processes."""
    return at_most(where, value, MOST_THREADS)


def flag(where: str, value: Any) -> bool:
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise fail(where, "be True or False", value, error=TypeError)
    return bool(value)


def items(where: str, value: Any, need: str) -> tuple[Any, ...]:
    """What a caller gives to go through, as a tuple; a text is one item."""
    if isinstance(value, str):
        return (value,)
    try:
        return tuple(value)
    except Exception:  # what is no iterable, or one that fails
        raise fail(where, need, value, error=TypeError) from None


def per_neuron(
    where: str,
    value: Any,
    n: int,
    need: str,
    low: float = -np.inf,
    high: float = np.inf,
    strict: bool = False,
    endless: bool = False,
) -> float | tuple[float, ...]:
    """A number, or one number per neuron; kept as a float or a tuple so that specs stay hashable."""
    if isinstance(value, Real):
        return number(where, value, need, low, high, strict, endless)
    array = numbers(where, value, need)
    if array.ndim == 0 or array.dtype.kind == "b":
        return number(where, value, need, low, high, strict, endless)
    if array.shape != (n,):
        raise fail(where, f"be a number or an array of shape ({n},)", value)
    with np.errstate(over="ignore"):
        array = array.astype(np.float64)
    finite = np.isfinite(array) | (endless & (array == np.inf))
    bad = ~finite | (array < low) | (array > high) | (strict & (array <= low))
    if bad.any():
        raise fail(where, need, array[bad][0], f"entry {int(np.argmax(bad))} of {n}")
    return tuple(array.tolist())


def regular_file(where: str, path: str | os.PathLike[str]) -> None:
    """Raise OSError or ValueError unless there is a file at this path; a pipe would be waited for without end."""
    name = os.fspath(path)
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise fail(where, "be a file that exists", name, error=FileNotFoundError) from None
    except (OSError, ValueError) as error:  # a link onto itself, a folder that may not be entered, a name that cannot be
        raise fail(where, "be a file that can be read", name, getattr(error, "strerror", None) or str(error), OSError) from None
    if stat.S_ISDIR(mode):
        raise fail(where, "be a file, not a folder", name, error=IsADirectoryError)
    if not stat.S_ISREG(mode):
        raise fail(where, "be a file", name, "it is a pipe, a socket or a device")


def choice(where: str, value: Any, names: Iterable[str]) -> str:
    """One of the given names."""
    names = tuple(names)
    if not isinstance(value, str) or value not in names:
        raise fail(where, "be one of " + ", ".join(repr(n) for n in names), value)
    return value


def numbers(where: str, value: Any, need: str = "be an array of numbers", hint: str = "") -> np.ndarray:
    """Real numbers or booleans as an array of their own dtype, maybe the caller's; anything with `__array__` is taken.

    Raises TypeError for other objects and dtypes, ValueError for masked arrays that hide a value.
    """
    array = value if type(value) is np.ndarray else _as_array(where, value, need, hint)
    if array.dtype.kind not in "biuf":
        single = array.ndim == 0 and not hasattr(value, "__array__")
        raise fail(where, need, value if single else f"dtype {array.dtype}", hint, TypeError)
    return array


def _as_array(where: str, value: Any, need: str, hint: str) -> np.ndarray:
    if sparse.issparse(value):
        raise fail(where, need, f"a sparse {type(value).__name__}", hint or "toarray() makes it dense", TypeError)
    hidden = sum(int(np.ma.getmaskarray(x).sum()) for x in _leaves(value) if isinstance(x, np.ma.MaskedArray))
    if hidden:
        got = f"a masked array that hides {hidden} of them"
        raise fail(where, "hold values that all count", got, "fill them, and where a loss is meant, pass mask= with zeros")
    try:
        return np.asarray(value)
    except Exception as error:  # what `__array__` of other libraries raises
        found: Any = value
        if isinstance(value, (list, tuple)):
            lengths = [len(x) for x in value if hasattr(x, "__len__")]
            found = f"a ragged list: entries of {_different(lengths)}" if len(set(lengths)) > 1 else "a ragged list"
        elif hasattr(value, "__array__"):
            found = f"{type(value).__name__}: {error}"
        raise fail(where, need, found, hint, TypeError) from None


def _different(lengths: list[int]) -> str:
    """In words: "lengths 40 and 30"."""
    found = list(dict.fromkeys(lengths))
    return "lengths " + ", ".join(map(str, found[:4])) + (", ..." if len(found) > 4 else "")


def _leaves(value: Any, depth: int = 32) -> Iterator[Any]:
    """What lists of lists hold, and what is no list itself; deeper than an array has dimensions nothing is looked for."""
    if not isinstance(value, (list, tuple)):
        yield value
        return
    for x in value if depth else ():
        if isinstance(x, (list, tuple)):
            yield from _leaves(x, depth - 1)
        else:
            yield x


def array(where: str, value: Any, shape: tuple[int | None, ...], dtype: Any = np.float64, hint: str = "") -> np.ndarray:
    """A C-contiguous finite array of this shape (None: any length); always a new or unshared view-safe array."""
    raw = numbers(where, value, f"be an array of numbers of shape {_shape(shape)}", hint)
    if raw.ndim != len(shape) or any(s is not None and s != r for s, r in zip(shape, raw.shape, strict=True)):
        raise fail(where, f"have shape {_shape(shape)}", raw.shape, hint)
    result = finite(where, raw, dtype)
    return result if result.flags.writeable else result.copy()  # a read-only array is another type to Numba


def finite(where: str, value: np.ndarray, dtype: Any = None) -> np.ndarray:
    """The array, C-contiguous in this dtype (None: its own); raises where an entry is NaN, infinite or too large for it."""
    if dtype is None or value.dtype == dtype:
        result = np.ascontiguousarray(value)
    else:
        with np.errstate(over="ignore", invalid="ignore"):
            result = np.ascontiguousarray(value, dtype)
    result = result.reshape(value.shape)  # ascontiguousarray makes a scalar one-dimensional
    if result.dtype.kind == "f" and not np.isfinite(result).all():
        index = tuple(int(i) for i in np.argwhere(~np.isfinite(result))[0])
        need = f"fit into {result.dtype}" if np.isfinite(value[index]) else "be finite"
        raise fail(where, need, value[index], f"at index {index}" if index else "")
    return result


def fits(where: str, value: Any, dtype: Any) -> None:
    """Raise ValueError where finite numbers, one or an array of them, are too large for this dtype, without a copy."""
    limit = float(np.finfo(dtype).max)
    array = np.asarray(value)
    low, high = float(array.min(initial=0.0)), float(array.max(initial=0.0))
    if low < -limit or high > limit:
        raise fail(where, f"fit into {np.dtype(dtype).name}", high if high > limit else low)


def csr(where: str, matrix: Any) -> sparse.csr_array:
    """A scipy.sparse matrix of any format as CSR with sorted columns, maybe on the same memory; duplicates add up.

    Raises ValueError for indices out of range and pointers that lead nowhere: compiled code, scipy's own included, trusts them.
    """
    if matrix.ndim != 2:
        raise fail(where, "have two dimensions", matrix.shape)
    if matrix.format in ("csr", "csc", "bsr"):
        _check_compressed(where, matrix)
    elif matrix.format == "coo":
        for axis, name in enumerate(("row", "col")):
            _check_indices(f"{where}.{name}", getattr(matrix, name), matrix.shape[axis], matrix.data.shape[0])
    found = sparse.csr_array(matrix)
    _check_compressed(where, found)
    n = int(found.indptr[-1])
    result = sparse.csr_array((found.data[:n], found.indices[:n], found.indptr), shape=found.shape)
    if not result.has_canonical_format:
        result = result.copy()
        result.sum_duplicates()
    finite(where, numbers(where, result.data))
    return result


def _check_compressed(where: str, matrix: Any) -> None:
    block = matrix.blocksize if matrix.format == "bsr" else (1, 1)
    rows, columns = (s // b for s, b in zip(matrix.shape, block, strict=True))
    major, minor = (columns, rows) if matrix.format == "csc" else (rows, columns)
    pointers = np.asarray(matrix.indptr)
    if pointers.shape != (major + 1,) or pointers.dtype.kind not in "iu":
        raise fail(f"{where}.indptr", f"be {major + 1} whole numbers", pointers)
    steps = pointers[1:] < pointers[:-1]
    if pointers[0] != 0 or steps.any():
        bad = 0 if pointers[0] != 0 else int(np.argmax(steps)) + 1
        raise fail(f"{where}.indptr", "begin at 0 and not fall", int(pointers[bad]), f"at index {bad}")
    if pointers[-1] > min(len(matrix.indices), len(matrix.data)):
        need = f"end at most at {min(len(matrix.indices), len(matrix.data))}, the number of entries"
        raise fail(f"{where}.indptr", need, int(pointers[-1]))
    n = int(pointers[-1])
    _check_indices(f"{where}.indices", matrix.indices[:n], minor, n)


def _check_indices(where: str, indices: Any, n: int, entries: int) -> None:
    index = np.asarray(indices)
    if index.shape != (entries,) or index.dtype.kind not in "iu":
        raise fail(where, f"be {entries} whole numbers, one for each entry", index)
    if index.size and (index.min() < 0 or index.max() >= n):
        bad = int(index.min()) if index.min() < 0 else int(index.max())
        raise fail(where, f"be in 0 .. {n - 1}", bad, "indices count from 0" if bad == n else "")


def same_time(a: float, b: float) -> bool:
    """Whether two times are the same up to rounding."""
    return abs(a - b) <= TOLERANCE * max(abs(a), abs(b))


def whole_steps(time: float, dt: float) -> int | None:
    """How many steps of dt a time is; None where it is no whole number of them, up to rounding."""
    steps = time / dt
    if not np.isfinite(steps):
        return None
    near = round(steps)
    return near if abs(steps - near) <= min(TOLERANCE * max(1.0, steps), 0.01) else None


def decimal(time: float) -> float:
    """What a time read from single precision meant: 0.1 where it is float32(0.1), 0.10000000149."""
    with np.errstate(over="ignore"):
        single = np.float32(time)
    return float(np.format_float_positional(single)) if float(single) == time else time


def _shape(shape: tuple[int | None, ...]) -> str:
    names = ["any" if s is None else str(s) for s in shape]
    return "(" + ", ".join(names) + ("," if len(names) == 1 else "") + ")"
