"""A cell of a notebook that trains stops at "interrupt", and the kernel goes on to work."""

import os
import queue
import time

import pytest
from paths import ROOT

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

SETUP = """
import snnlearn as sl
task = sl.tasks.PatternGeneration(n_steps=20, periods=(20.0,), n_inputs=4)
net = sl.Network(task.n_inputs, sl.LIF(4, threshold=0.3), task.n_outputs)
sim = sl.Simulator(net, rule=sl.EProp(), optimizer=sl.Adam(1e-3))
"""
ENDLESS = "print('begins', flush=True); history = sim.train(task, trials=10**7, batch=2)"
AFTER = "print(history.status, history.trials > 0, sim.train(task, trials=4, batch=2).status)"


class Kernel:
    """A kernel of Jupyter; the JIT is off in it, so that a first run does not take the time of compiling."""

    def __enter__(self):
        self.manager = jupyter_client.KernelManager(kernel_name="python3")
        self.manager.start_kernel(env=os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"})
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=60)
        return self

    def __exit__(self, *_):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def run(self, code, interrupt_at=None, timeout=60.0):
        """What a cell prints; interrupted half a second after it printed `interrupt_at`."""
        request, text, end = self.client.execute(code), "", time.monotonic() + timeout
        while time.monotonic() < end:
            try:
                message = self.client.get_iopub_msg(timeout=0.5)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            text += content.get("text", "") + content.get("ename", "")
            if interrupt_at is not None and interrupt_at in text:
                time.sleep(0.5)
                self.manager.interrupt_kernel()
                interrupt_at = None
            if content.get("execution_state") == "idle":
                return text
        raise TimeoutError(f"the cell did not end within {timeout} s; it printed {text!r}")


@pytest.mark.filterwarnings("default")  # of the machinery that runs kernels
def test_interrupt_stops_a_training():
    with Kernel() as kernel:
        assert kernel.run(SETUP) == ""
        assert "Error" not in kernel.run(ENDLESS, interrupt_at="begins")
        assert kernel.run(AFTER).split() == ["interrupted", "True", "complete"]
        stream = "import itertools; x, y, _ = task.trial(0)\nprint('begins', flush=True)\n"
        stream += "sim.run((x, y) for _ in itertools.count())"
        stopped = kernel.run(stream, interrupt_at="begins")
        assert stopped.endswith("KeyboardInterrupt")
        assert kernel.run("print(sim.stream_steps > 0)").strip() == "True"
