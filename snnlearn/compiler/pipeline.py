"""Links helpers into the kernels that call them, where they are optimised and compiled once.

Numba makes every jitted function callable by itself: it optimises the function together with all that it calls and
turns it into machine code, and then does so again in each caller. A helper of ours is only ever called from a kernel. Its
LLVM code is kept as it is typed and lowered; the kernel at the root links all of it, then optimises and
compiles it once. That halves the time to compile, and because the optimiser meets loops with their
surroundings known, the code is up to twice as fast.

The pipeline of a jitted function is Numba's own point of extension (`pipeline_class`).
"""

from __future__ import annotations

from typing import Any

import numba
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, _LowerResult
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

from .fallback import lose, tried


class _HelperLibrary(JITCodeLibrary):
    """The code of a helper and, linked to it, of all that it calls: not optimised, no machine code."""

    def finalize(self) -> None:
        for library in dict.fromkeys(self._linking_libraries):
            if hasattr(library, "_reload_init"):  # not in Numba 0.61
                self._reload_init.update(library._reload_init)
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerHelper(NativeLowering):
    """Lowers a function into a `_HelperLibrary` and makes it known to its callers."""

    _name = "snnlearn_lower_helper"

    def run_pass(self, state: Any) -> bool:
        state.library = _HelperLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # callers find the code by an entry point, which has to be a builtin function of its own; from Python this one raises
        entry = bytearray().pop
        state.targetctx.insert_user_function(entry, lowered.fndesc, [state.library])
        state["cr"] = _LowerResult(lowered.fndesc, lowered.call_helper, cfunc=entry, env=lowered.env)
        return True


class _Pipeline(Compiler):
    """Numba's compiler but for the lowering."""

    def define_pipelines(self) -> list[Any]:
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [(_LowerHelper if p is NativeLowering else p, text) for p, text in pipeline.passes]
            pipeline._finalized = False
            pipeline.finalize()
        return pipelines


class _Helper(_Pipeline):
    """`_Pipeline`, or Numba's own compiler where this version's inside differs from what this file expects."""

    def define_pipelines(self) -> list[Any]:
        return super().define_pipelines() if _works() else Compiler.define_pipelines(self)


class _Distinct(_Helper):
    """`_Helper` for a function whose array arguments never overlap, which its loops then need not test.

    Numba has the flag (LLVM's noalias on the pointers of arguments), but no option for it.
    """

    def define_pipelines(self) -> list[Any]:
        if hasattr(self.state.flags, "noalias"):
            self.state.flags.noalias = True
        else:
            lose("loops that need no test for overlap", AttributeError("noalias"))
        return super().define_pipelines()


OPTIONS: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "pipeline_class": _Helper}  # of `numba.njit`

DISTINCT: dict[str, Any] = OPTIONS | {"pipeline_class": _Distinct}


@tried("helpers that are compiled with their kernels")
def _works() -> None:
    @numba.njit(**OPTIONS | {"pipeline_class": _Pipeline})
    def helper(x):
        return 2 * x

    @numba.njit
    def root(x):
        return helper(x) + helper(x)

    assert root(3) == 12
