"""How every kernel of the package is compiled, and how it finds the code for its argument types.

* `kernel`: a root that Python calls. Cached on disk and releases the GIL.
* `device`: a helper that kernels call; compiled into them and there alone (`pipeline.py`): Python cannot call it.
* `inlined`: a device that is always inlined. A NamedTuple of arrays travels as hundreds of arguments, so a call per
  step or per row costs more than its work; forcing all devices costs a fifth more compile time.
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
from numba.core import types
from numba.core.caching import IndexDataCacheFile
from numba.extending import overload

from .cache import SOURCE
from .compilations import belongs
from .pipeline import HelperCompiler

# `error_model="numpy"` drops the check for division by zero; "contract" allows fused multiply-add and
# nothing else, so that NaN stays visible and sums keep their order. Kernels allocate nothing, so that nothing
# in them needs Numba's reference counts (`_nrt`): a NamedTuple of arrays would count hundreds at each call.
OPTIONS: dict[str, Any] = {"_nrt": False, "error_model": "numpy", "fastmath": {"contract"}}
HELPER: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": HelperCompiler}


def kernel(function: Callable) -> Any:
    """Compile a root; its cache has a file of its own for each state of the sources.

    Numba's index of a cache names classes of arguments by their modules: one that an earlier version of the package has left
    cannot be read where a class has moved.
    """
    compiled: Any = numba.njit(cache=True, nogil=True, **OPTIONS)(function)
    cache: Any = getattr(compiled, "_cache", None)
    if isinstance(getattr(cache, "_cache_file", None), IndexDataCacheFile):
        stamp = cache._impl.locator.get_source_stamp()
        cache._cache_file = IndexDataCacheFile(cache.cache_path, f"{cache._impl.filename_base}-{SOURCE:x}", stamp)
    return compiled


device = numba.njit(**HELPER)
inlined = numba.njit(forceinline=True, **HELPER)
summing = numba.njit(**{**HELPER, "fastmath": {"contract", "reassoc"}})


@functools.cache
def uncached(root: Callable) -> Callable:
    """The same root, compiled in every process: for classes from outside the package, whose edits no cache sees."""
    return root if numba.config.DISABLE_JIT else numba.njit(nogil=True, **OPTIONS)(root.py_func)  # type: ignore[attr-defined]


def is_ours(arrays: Any) -> bool:
    """Whether the classes of these nested NamedTuples are all the package's own."""
    if not isinstance(arrays, tuple):
        return True
    return (type(arrays) is tuple or belongs(type(arrays))) and all(map(is_ours, arrays))


def compiled() -> bool:
    """Whether kernels are compiled: as plain Python, they cannot wait for one another."""
    return not numba.config.DISABLE_JIT  # type: ignore[attr-defined]


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
        if not numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
            overload(call, jit_options={**HELPER, "forceinline": inline}, strict=False)(choose)  # type: ignore[arg-type, typeddict-item]
        call.register, call.find, call.table = chooser.register, chooser.find, chooser.table  # type: ignore[attr-defined]
        return call

    return decorate


def _class_of(numba_type: types.Type) -> type:
    return getattr(numba_type, "instance_class", type(numba_type))
