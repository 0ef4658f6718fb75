"""How every kernel of the package is compiled, and how it finds the code for its argument types.

* `kernel`: a root that Python calls. Cached on disk and releases the GIL.
* `device`: a helper that kernels call; compiled into them and there alone (`pipeline.py`): Python cannot call it.
* `inlined`: a device that is always inlined. A NamedTuple of arrays travels as hundreds of arguments, so a call per
  step or per row costs more than its work; forcing all devices costs a fifth more compile time.
* `distinct`: an inlined device whose array arguments never share memory with one that it writes: its loops vectorise without a
  test for that, and without a second copy of themselves.
* `summing`: a device whose sums may be reordered by the compiler, so that they vectorise. The order depends
  on lengths and on the processor, never on threads, so runs on one machine stay bit-identical.
* `generic`: a helper with one implementation per class of its leading NamedTuple arguments::

      @generic(1)
      def advance(p, state): "..."

      @advance.register(LIFParams)
      def _(p, state): ...

Numba resolves the class while it compiles, so a kernel is specialised without closures and is found
again in the on-disk cache. With NUMBA_DISABLE_JIT=1 the same table is looked up at run time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import numba

from .cache import SOURCE as SOURCE
from .cache import cached
from .compilations import belongs
from .fallback import lose

try:
    from numba.extending import overload
except Exception as reason:
    lose("compiled kernels", reason)
    overload = None  # type: ignore[assignment]

# `error_model="numpy"` drops the check for division by zero; "contract" allows fused multiply-add and
# nothing else, so that NaN stays visible and sums keep their order.
OPTIONS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}}

# Kernels allocate nothing, so that nothing in them needs reference counts: a NamedTuple of arrays would count hundreds at
# each call.
try:
    from numba.core.cpu import CPUTargetOptions

    OPTIONS |= {"_nrt": False} if CPUTargetOptions._nrt else {}
except Exception as reason:
    lose("kernels without reference counts", reason)

HELPER: dict[str, Any] = dict(OPTIONS)
DISTINCT: dict[str, Any] = dict(OPTIONS)

try:
    from . import pipeline
except Exception as reason:
    lose("helpers that are compiled with their kernels", reason)
else:
    HELPER |= pipeline.OPTIONS
    DISTINCT |= pipeline.DISTINCT


def compiled() -> bool:
    """Whether kernels are compiled, and not run as plain Python."""
    return overload is not None and not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


def _njit(**options: Any) -> Callable[[Callable], Any]:
    return numba.njit(**options) if compiled() else lambda function: function


def device(function: Callable) -> Any:
    """Compile a helper into the kernels that call it. function : loops and scalars, without allocation"""
    return _njit(**HELPER)(function)


def inlined(function: Callable) -> Any:
    """Compile a helper into the kernels that call it, inlined at each call. function : as of `device`"""
    return _njit(forceinline=True, **HELPER)(function)


def distinct(function: Callable) -> Any:
    """Compile an inlined helper. function : whose arrays never share memory with one that it writes"""
    return _njit(forceinline=True, **DISTINCT)(function)


summing = _njit(**{**HELPER, "fastmath": {"contract", "reassoc"}})


def kernel(function: Callable) -> Any:
    """Compile a root that Python calls; see `cache.py` for where it is kept."""
    return cached(function, nogil=True, **OPTIONS) if compiled() else function


@functools.cache
def uncached(root: Callable) -> Callable:
    """The same root, compiled in every process: for classes from outside the package, whose edits no cache sees."""
    return _njit(nogil=True, **OPTIONS)(root.py_func) if compiled() else root  # type: ignore[attr-defined]


def is_ours(arrays: Any) -> bool:
    """Whether the classes of these nested NamedTuples are all the package's own."""
    if not isinstance(arrays, tuple):
        return True
    return (type(arrays) is tuple or belongs(type(arrays))) and all(map(is_ours, arrays))


class Generic:
    """A function with one implementation per combination of its leading argument classes."""

    def __init__(self, stub: Callable, n_dispatch: int, default: bool = False):
        self.stub, self.n_dispatch, self.default = stub, n_dispatch, default
        self.table: dict[tuple[type, ...], Callable] = {}
        self.parameters = tuple(inspect.signature(stub).parameters)

    def register(self, *classes: type) -> Callable[[Callable], Callable]:
        """Decorate the implementation for these NamedTuple classes; its arguments are named as the stub's."""
        if len(classes) != self.n_dispatch:
            raise TypeError(f"{self.stub.__name__}.register needs {self.n_dispatch} classes (got {len(classes)})")

        def decorate(function: Callable) -> Callable:
            if tuple(inspect.signature(function).parameters) != self.parameters:
                raise TypeError(f"{function.__name__} must have the arguments of {self.stub.__name__}: {self.parameters}")
            self.table[classes] = function
            return function

        return decorate

    def find(self, classes: tuple[type, ...]) -> Callable:
        try:
            return self.table[classes]
        except KeyError:
            if self.default:
                return self.stub
            known = ", ".join("(" + ", ".join(c.__name__ for c in key) + ")" for key in self.table)
            wanted = ", ".join(c.__name__ for c in classes)
            raise TypeError(f"{self.stub.__name__} has no implementation for ({wanted}); it has {known}") from None


def overloads(function: Callable, **options: Any) -> Callable[[Callable], Callable]:
    """Say what kernels call instead of a Python function: what the decorated one returns for the types of its arguments."""
    if not compiled():
        return lambda implementation: implementation
    return overload(function, jit_options={**HELPER, **options}, strict=False)  # type: ignore[arg-type, typeddict-item]


def generic(n_dispatch: int, inline: bool = False, default: bool = False) -> Callable[[Callable], Any]:
    """Make a dispatching function of a stub; see the module's docstring.

    inline : it is always inlined; default : the stub itself serves classes that nothing is registered for
    """

    def decorate(stub: Callable) -> Any:
        chooser = Generic(stub, n_dispatch, default)

        def call(*args):
            return chooser.find(tuple(type(a) for a in args[:n_dispatch]))(*args)

        call.__name__, call.__doc__ = stub.__name__, stub.__doc__

        def choose(*args):
            return chooser.find(tuple(_class_of(a) for a in args[:n_dispatch]))

        choose.__signature__ = inspect.signature(stub)  # type: ignore[attr-defined]
        choose.__name__ = stub.__name__
        overloads(call, forceinline=inline)(choose)
        call.register, call.find, call.table = chooser.register, chooser.find, chooser.table  # type: ignore[attr-defined]
        return call

    return decorate


def _class_of(numba_type: Any) -> type:
    return getattr(numba_type, "instance_class", type(numba_type))
