"""The package without some of Numba's private parts; run as a script, by `test_fallbacks.py`.

    python without.py names NAME ...    prints, for each name, what is done without it, all uses having been tried
    python without.py run OUT NAME ...  writes what a small network does without all of these

NAME is as "numba.core.event:Listener"; "inside" breaks how helpers are compiled. A name is taken away from
snnlearn/compiler alone: Numba needs it itself.
"""

import builtins
import json
import os
import sys
import types
import warnings

import h5py  # noqa: F401
import numba  # noqa: F401
import numpy as np
import scipy.sparse  # noqa: F401


class Hidden(types.ModuleType):
    def __init__(self, real, names):
        super().__init__("hidden")  # under which name nothing can be found by another way
        self.__dict__.update({key: value for key, value in vars(real).items() if key not in names and key != "__name__"})


def hide(module, name):
    """Have `from module import name` and `module.name` fail in snnlearn/compiler."""
    known, (within, _, last) = builtins.__import__, module.rpartition(".")

    def imports(path, globals=None, locals=None, fromlist=(), level=0):
        found = known(path, globals, locals, fromlist, level)
        if not (globals or {}).get("__name__", "").startswith("snnlearn.compiler"):
            return found
        if path == module:
            return Hidden(found, {name})
        if path == within and last in (fromlist or ()):
            found = Hidden(found, ())
            setattr(found, last, Hidden(known(module, fromlist=("x",)), {name}))
        return found

    builtins.__import__ = imports


def attempt():
    """What is lost, each use having been tried."""
    from snnlearn.compiler import bound_call, compilations, dispatch, fallback, intrinsics

    @dispatch.inlined
    def helper(x):
        return 2.0 * x

    @dispatch.uncached
    @dispatch.kernel
    def root(x, factor, source=1):
        register = intrinsics.flush_denormals()
        intrinsics.prefetch(x, 0)
        x[0] = factor * helper(x[0]) * intrinsics.lowest_bit(intrinsics.set_bits(x, 0) << np.uint64(1))
        x[0] *= intrinsics.scaled(np.float32(1), np.int32(0))
        intrinsics.restore(register)

    x = np.ones(intrinsics.LANES)
    with compilations.Counter():
        one = bound_call.Frame(root, (x, 3.0))
        one.call(), one.give(0.5), one.call()
    assert x[0] == 6.0, x
    intrinsics.can_meet()
    return fallback.LOST


def run():
    """What a sparse network does, in prepared steps, with threads, and as a trial; and the sum of its weights' squares."""
    import snnlearn as sl
    from snnlearn.compiler import fallback
    from snnlearn.engine import partition

    partition.NEURONS = partition.ALIGNED = 1  # threads may share as few
    x = (np.random.default_rng(0).random((40, 4)) < 0.3).astype(float)
    net = sl.Network(4, sl.LIF(70, threshold=0.4), 2, recurrent=sl.Sparse(20))
    sim = sl.Simulator(net, seed=1, threads=2)
    steps = [sim.step(step) for step in x]
    run = sim.run(x)
    return {
        "spikes": np.array([step.spikes for step in steps]),
        "readout": np.array([step.readout for step in steps]),
        "rate": run.rate,
        "lost": list(fallback.LOST),
    }


def break_pipeline():
    """Numba's inside is another than is known, though all names are there."""
    from snnlearn.compiler import pipeline

    def finalize(self):
        raise AttributeError("_linking_libraries")

    pipeline._HelperLibrary.finalize = finalize


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    what, *rest = sys.argv[1:]
    if what == "run":
        for name in rest[1:]:
            if name == "inside":
                break_pipeline()
            else:
                hide(*name.split(":"))
        np.savez(rest[0], **run())
    else:
        for name in rest:
            child = os.fork()
            if not child:
                try:
                    hide(*name.split(":"))
                    print(json.dumps([name, attempt()]), flush=True)
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
