"""What systems differ in, taken away in turn: a training is recorded, interrupted, goes on and is read, with the same results."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

import snnlearn as sl

LACKS = {
    "fork": "del os.fork, os.register_at_fork",
    "SIGTERM": "del signal.SIGTERM",
    "fcntl": "sys.modules['fcntl'] = None",
    "affinity": "del os.sched_getaffinity",
    "sizes": "del os.sysconf",
    "positions": "del os.pread, os.pwrite",
    "space": "del os.posix_fallocate",
    "users": "del os.getuid",
    "groups": "del os.setpgid",
}
SCRIPT = """
import json, os, signal, sys
import concurrent.futures, multiprocessing
import h5py, numba, numpy as np, scipy.sparse

{lacks}
import snnlearn as sl
from snnlearn.cli import main
from snnlearn.compiler.barrier import cores
from snnlearn.experiments.memory import machine_bytes

assert cores() >= 1 and machine_bytes() > 2**20
task = sl.tasks.PatternGeneration(n_steps=30, n_inputs=5, periods=(30.0,))
net = sl.Network(5, sl.LIF(6, threshold=0.05), task.n_outputs)
sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-3), threads=2)

def interrupt(sim, history):
    if len(history.loss) == 2:
        signal.raise_signal(signal.SIGINT)

with sl.Recorder("run.h5", v=True, checkpoint_every=1) as recorder:
    assert sim.train(task, 5, recorder=recorder, callbacks=[interrupt]).status == "interrupted"
again = sl.resume("run.h5")
history = again.train()
assert history.status == "complete"
again.save("end.h5")
with sl.open_recording("run.h5") as rec:
    assert rec["v"][4][:].shape == (30, 6)
assert main(["info", "run.h5"]) == 0
print(json.dumps([history.loss, sl.resume("end.h5").weights.w_rec.tolist()]))
"""


def run(tmp_path, lacks):
    path = os.pathsep.join([str(pathlib.Path(sl.__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path, "NUMBA_DISABLE_JIT": "1"}
    code = SCRIPT.format(lacks=lacks)
    done = subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    return run(tmp_path_factory.mktemp("usual"), "")


@pytest.mark.parametrize("name", LACKS)
def test_a_system_may_lack(tmp_path, usual, name):
    names = [part.split(".")[-1] for part in LACKS[name].removeprefix("del ").split(", ") if LACKS[name].startswith("del ")]
    if not all(hasattr(os, part) or part == "SIGTERM" for part in names):
        pytest.skip("this one does")
    losses, weights = run(tmp_path, LACKS[name])
    assert len(losses) == 5 and losses[0] > 0
    assert [losses, weights] == usual
