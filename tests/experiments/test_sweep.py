"""Sweeps: every point once, whatever happens to the workers; the results in one table."""

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager

import h5py
import numpy as np
import pytest
from kills import BATCH, contents, differing
from test_config import small

import snnlearn as sl
from snnlearn.cli import main
from snnlearn.experiments import executors, grid
from snnlearn.experiments import results as sweep_table
from snnlearn.experiments.sweep import _kind

LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the worker in /proc")
TINY = small(training=sl.TrainingPlan(2 * BATCH, BATCH, evaluate_every=1, evaluate_trials=2), recorder={"checkpoint_every": 1})


class Here(Executor):
    """Runs at once, in this process."""

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except BaseException as error:
            future.set_exception(error)
        return future


def test_grids_zips_and_seeds():
    table = {"seeds": 2, "optimizer": {"lr": [0.1, 0.2]}, "training.batch": [1, 2], "zip": [["optimizer.lr", "training.batch"]]}
    found = grid.points(table)
    assert [tuple(point.values()) for point in found] == [(0, 0.1, 1), (0, 0.2, 2), (1, 0.1, 1), (1, 0.2, 2)]
    assert list(found[0]) == ["seeds", "optimizer.lr", "training.batch"]
    assert grid.points({}) == [{}]
    assert grid.label({"rule": {"type": "SnAp", "n": 2}, "optimizer.lr": 0.001}) == "rule=SnAp(n=2), optimizer.lr=0.001"
    for table, sentence in [
        ({"seed": 3}, "sweep.seed must be a list of values"),
        ({"seed": []}, "sweep.seed must be a list of values"),
        ({"seeds": 0}, "sweep.seeds must be a number of seeds"),
        ({"seed": [1], "zip": [["seed", "lr"]]}, "sweep.zip must name keys of the sweep"),
        ({"seed": [1], "lr": [1, 2], "zip": [["seed", "lr"]]}, "sweep.zip must name keys with lists of one length"),
        ({"seed": [1], "zip": 3}, "sweep.zip must be a list of lists"),
    ]:
        with pytest.raises((ValueError, TypeError), match=sentence):
            grid.points(table)


def test_bad_points_are_refused_before_any_run(tmp_path, monkeypatch):
    for over, sentence in [
        ({"optimizer.lr": [0.1, -1.0]}, "sweep, point optimizer.lr=-1: Config.updated, optimizer.lr: Adam.lr must be"),
        ({"optimizer.rate": [0.1]}, "Adam has no 'rate'"),
        ({"seed": [1, 1]}, "sweep must have points that differ"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            sl.sweep(TINY, tmp_path / "runs", over, executor=Here())
    with pytest.raises(ValueError, match="either executor or scheduler"):
        sl.sweep(TINY, tmp_path / "runs", {}, executor=Here(), scheduler="tcp://x:1")
    pytest.importorskip("distributed")
    monkeypatch.setattr(executors, "TIMEOUT", 0.2)
    with pytest.raises(OSError, match=r"the Dask scheduler tcp://127.0.0.1:9 does not answer"):
        sl.sweep(TINY, tmp_path / "runs", {}, scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.glob("runs/*.h5"))


def test_a_sweep_gathers_its_runs_and_goes_on_where_it_stopped(tmp_path):
    over = {"seeds": [1, 2], "optimizer.clip_norm": [1.0, 5.0]}
    result = sl.sweep(TINY, tmp_path / "runs", over, executor=Here(), quiet=True)
    assert (result.column("status") == "complete").all() and len(result) == 4
    assert result.column("seeds").tolist() == [1, 1, 2, 2]
    assert result.curves["loss"].shape == (4, 2) and np.isfinite(result.curves["evaluation_score"]).all()
    for row, path in zip(result.rows, result.paths, strict=True):
        one = TINY.updated({"seeds": row["seeds"], "optimizer.clip_norm": row["optimizer.clip_norm"]})
        history = one.run()
        assert row["loss"] == pytest.approx(np.mean(history.loss)) and row["evaluation_score"] == history.evaluation_score[-1]
        assert sl.Config.of_recording(path).digest == one.digest
    with h5py.File(tmp_path / "runs" / "sweep.h5") as h5:
        assert h5["runs/loss"][...].tolist() == result.column("loss").tolist()
        assert h5["curves/loss"].shape == (4, 2)
    assert (tmp_path / "runs" / "sweep.csv").read_text().count("\n") == 5
    assert sl.load_config(tmp_path / "runs" / "sweep.toml").sweep == over
    assert "4 of 4 runs complete" in repr(result)
    frame = result.to_pandas()
    assert frame.groupby("optimizer.clip_norm").loss.mean().size == 2

    before = {path: path.stat().st_mtime_ns for path in result.paths}
    os.unlink(result.paths[0])
    os.rename(result.paths[1], tmp_path / "runs" / "renamed.h5")  # a file is known by its configuration
    again = sl.sweep(TINY, tmp_path / "runs", over | {"seeds": [1, 2, 3]}, executor=Here(), quiet=True)
    assert again.column("attempts").tolist() == [1, 0, 0, 0, 1, 1]
    assert [p.stat().st_mtime_ns for p in again.paths[2:4]] == [before[p] for p in result.paths[2:4]]
    assert again.paths[1].name == "renamed.h5"


@pytest.mark.filterwarnings("ignore:sweep. .*failed:RuntimeWarning")
def test_a_run_that_fails_is_reported_and_the_others_go_on(tmp_path, monkeypatch):
    module = sys.modules["snnlearn.experiments.sweep"]
    told, original = [], module.run

    def run(config, path, threads):
        told.append(config.seed)
        if config.seed == 1:
            raise sl.Divergence(0, 1, 2)
        if config.seed == 2 and told.count(2) < 3:
            raise OSError("no space")
        return original(config, path, threads)

    monkeypatch.setattr(module, "run", run)
    with pytest.warns(RuntimeWarning, match=r"seed=1\) failed: Divergence: Simulator: the membrane potential"):
        result = sl.sweep(TINY, tmp_path / "runs", {"seed": [0, 1, 2]}, executor=Here(), quiet=True)
    assert result.column("status").tolist() == ["complete", "failed", "complete"]
    assert result.column("attempts").tolist() == [1, 1, 3]
    assert np.isnan(result.rows[1]["loss"]) and "Divergence" in result.rows[1]["error"]
    assert pickle.loads(pickle.dumps(sl.Divergence(0, 1, 2))).neuron == 2


def test_run_goes_on_from_a_checkpoint_and_spares_other_files(tmp_path):
    config = pickle.loads(pickle.dumps(TINY.updated({"training.trials": 4 * BATCH})))
    assert config == TINY.updated({"training.trials": 4 * BATCH})
    reference = sl.run(config, tmp_path / "whole.h5")
    assert reference == str(tmp_path / "whole.h5")

    def stop(simulator, history):
        if len(history.loss) == 2:
            raise KeyboardInterrupt

    config.run(tmp_path / "run.h5", callbacks=[stop])
    with sl.open_recording(tmp_path / "run.h5") as recording:
        assert recording.status == "interrupted" and recording.n_rows("updates") < 4
    sl.run(config, tmp_path / "run.h5")
    assert not differing(contents(tmp_path / "whole.h5", cut=False), contents(tmp_path / "run.h5", cut=False), prefix=False)
    with pytest.raises(FileExistsError, match="is the recording of another configuration"):
        sl.run(TINY, tmp_path / "run.h5")
    (tmp_path / "torn.h5").write_bytes(b"not a recording")
    sl.run(config, tmp_path / "torn.h5")
    with sl.open_recording(tmp_path / "torn.h5") as recording:
        assert recording.status == "complete"


def test_kinds_differ_where_kernels_do():
    base = _kind(TINY)
    for same in ({"seeds": 4}, {"optimizer.clip_norm": 2.0}, {"network.neurons.0.n": 9}, {"task.delay": 10.0}):
        assert _kind(TINY.updated(same)) == base
    for other in ({"rule": "eprop:2"}, {"dtype": "float64"}, {"update_every": 1}, {"network.recurrent": sl.Sparse(indegree=3)}):
        assert _kind(TINY.updated(other)) != base


@contextmanager
def a_death(folder):
    """Kills the worker that writes the first recording, once it has learnt something; gives the list of what it did."""
    deaths, over = [], threading.Event()

    def wait():
        while not deaths and not over.wait(0.01):
            for path in folder.glob("*.h5"):
                try:
                    with sl.open_recording(path) as recording:
                        begun = recording.status == "running" and recording.n_rows("updates") >= 3
                except (OSError, ValueError):
                    continue
                pids = [pid for pid in writers(path) if begun]
                if pids:
                    os.kill(pids[0], signal.SIGKILL)
                    deaths.append(path)
                    return

    thread = threading.Thread(target=wait)
    thread.start()
    yield deaths
    over.set()
    thread.join()


def writers(path):
    """Child processes that have the file open."""
    for process in multiprocessing.active_children():
        links = f"/proc/{process.pid}/fd"
        try:
            if any(os.path.realpath(os.path.join(links, fd)) == str(path) for fd in os.listdir(links)):
                yield process.pid
        except OSError:
            continue


def assert_as_alone(config, path, tmp_path):
    sl.run(config, tmp_path / "alone.h5")
    assert not differing(contents(tmp_path / "alone.h5", cut=False), contents(path, cut=False), prefix=False)


LONG = TINY.updated({"training.trials": 80 * BATCH, "training.evaluate_every": 40, "recorder.checkpoint_every": 5})


@pytest.mark.slow
@LINUX
def test_a_killed_worker_costs_the_others_nothing(tmp_path):
    with a_death(tmp_path / "runs") as deaths:
        result = sl.sweep(LONG, tmp_path / "runs", {"seed": [1, 2, 3]}, workers=2, threads=1, quiet=True)
    assert len(deaths) == 1
    assert (result.column("status") == "complete").all()
    assert sorted(result.column("attempts").tolist()) == [1, 1, 2]
    assert_as_alone(LONG.updated({"seed": result.paths.index(deaths[0]) + 1}), deaths[0], tmp_path)


@pytest.mark.slow
@LINUX
@pytest.mark.filterwarnings("default")  # of the cluster's
def test_a_dask_cluster_runs_a_sweep_also_where_a_worker_is_killed(tmp_path):
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(**options) as cluster, a_death(tmp_path / "runs") as deaths:
        result = sl.sweep(LONG, tmp_path / "runs", {"seed": [1, 2, 3]}, scheduler=cluster.scheduler_address, quiet=True)
    assert len(deaths) == 1
    assert (result.column("status") == "complete").all()
    assert_as_alone(LONG.updated({"seed": result.paths.index(deaths[0]) + 1}), deaths[0], tmp_path)


@pytest.mark.slow
def test_kernels_compile_once_for_all_workers(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "kernels"))
    config = TINY.updated({"training.evaluate_every": "none"})
    result = sl.sweep(config, tmp_path / "runs", {"seed": [1, 2]}, workers=2, threads=1, quiet=True)
    assert (result.column("status") == "complete").all()
    assert result.column("compiled").sum() == 0  # the step before the runs compiled everything
    assert any((tmp_path / "kernels").rglob("*.nbc"))


class Job:
    """What some engines return: less than a Future."""

    def __init__(self, function, arguments):
        self.thread = threading.Thread(target=lambda: setattr(self, "value", function(*arguments)))
        self.thread.start()

    def done(self):
        return not self.thread.is_alive()

    def result(self):
        return self.value

    def exception(self):
        return None


def test_engines_with_jobs_of_their_own(tmp_path):
    class Engine:
        def submit(self, function, *arguments):
            return Job(function, arguments)

    result = sl.sweep(TINY, tmp_path / "runs", {"seed": [1, 2]}, executor=Engine(), quiet=True)
    assert (result.column("status") == "complete").all()


def test_threads_of_an_executor(tmp_path):
    with ThreadPoolExecutor(2) as executor:
        result = sl.sweep(TINY, tmp_path / "runs", {"seed": [1, 2]}, executor=executor, quiet=True)
    assert (result.column("status") == "complete").all()


def test_the_command_line_needs_something_that_varies(tmp_path, capsys):
    TINY.save(tmp_path / "run.toml")
    assert main(["sweep", str(tmp_path / "run.toml")]) == 1
    assert "sweep FILE must have a table [sweep] that says what varies, as seeds = 3 (got " in capsys.readouterr().err
    TINY.with_sweep({"seed": [1]}).save(tmp_path / "run.toml", overwrite=True)
    assert main(["sweep", str(tmp_path / "run.toml"), "--workers", "99999999999"]) == 1
    assert "--workers must be at most 4096 (got 99999999999)" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_the_command_line_sweeps(tmp_path):
    TINY.with_sweep({"seed": [1]}).save(tmp_path / "run.toml")
    words = [sys.executable, "-m", "snnlearn", "sweep", str(tmp_path / "run.toml"), "--workers", "1", "--quiet"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 runs complete" in done.stdout
    assert len(list((tmp_path / "run").glob("*.h5"))) == 2  # the run, and sweep.h5
    assert sweep_table.ABOUT.keys() > {"loss"}
