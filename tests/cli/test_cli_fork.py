"""`snnlearn fork` as a user types it, against `sl.fork`."""

import numpy as np
import pytest
from test_cli import command

import snnlearn as sl

SMALL = ["--neurons", "10", "--iterations", "6", "--batch", "2", "--quiet"]


@pytest.fixture(scope="module")
def parent(tmp_path_factory):
    path = tmp_path_factory.mktemp("parent") / "run.h5"
    done = command("train", "pattern-generation", "--out", path, "--checkpoint-every", 2, "--keep-every", 3, *SMALL)
    assert done.returncode == 0, done.stderr
    return path


def test_a_fork_is_that_of_the_library(parent, tmp_path):
    """Weights bit for bit, the curve of the loss, and what the file tells of where it comes from."""
    before, out = parent.read_bytes(), tmp_path / "fork.h5"
    changes = ["--set", "optimizer.lr=2e-3", "--set", "rule=eprop:2", "--set", "seed=7"]
    done = command("fork", parent, "--at", 4, "--out", out, "--quiet", *changes)
    assert done.returncode == 0, done.stderr
    assert "from update 4 of 6" in done.stdout and "changed: optimizer = Adam(lr=0.002" in done.stdout
    assert f"recorded to {out}" in done.stdout
    sim = sl.fork(parent, at=4)
    old = sim.rule
    optimizer = sl.Adam(2e-3, **{name: getattr(sim.optimizer, name) for name in ("clip_norm", "weight_decay")})
    assert optimizer.lr != sim.optimizer.lr
    sim = sl.fork(parent, at=4, optimizer=optimizer, rule=sl.EProp(2, feedback=old.feedback, seed=old.seed), seed=7)
    history = sim.train()
    with sl.open_recording(out) as rec, sl.open_recording(parent) as old:
        for a, b in zip(rec.weights(), sim.weights, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(rec.table("updates").loss, history.loss[4:])
        np.testing.assert_array_equal(rec.table("updates").update, [5, 6])
        assert rec.names == old.names and rec.status == "complete"  # recorded as the parent was
        assert rec.config["fork"] == {"of": "run.h5", "updates": 4, "changes": ["optimizer", "rule", "seed"]}
        assert rec.config["command"] == "snnlearn fork run.h5 --at 4 --set optimizer.lr=2e-3 --set rule=eprop:2 --set seed=7"
        assert "run" not in rec.config and "run" in old.config
    assert "forked     from run.h5 after 4 updates, with another optimizer and rule and seed" in command("info", out).stdout
    with pytest.raises(ValueError, match=r"must be the recording of a run from its beginning \(got 'a fork of run.h5 after 4"):
        sl.Config.of_recording(out)
    assert parent.read_bytes() == before


def test_states_are_kept(parent):
    with sl.open_recording(parent) as rec:
        kept = rec.file["checkpoint/kept"]
        assert [int(kept[name].attrs["updates"]) for name in kept] == [0, 3, 6]
        assert rec.config["run"]["recorder"]["keep_every"] == 3 and "--keep-every 3" in rec.config["command"]
    assert sl.Config.of_recording(parent).recorder["keep_every"] == 3


def test_a_fork_without_changes_is_its_parent_and_can_be_resumed(parent, tmp_path):
    out = tmp_path / "same.h5"
    done = command("fork", parent, "--at", 5, "--out", out, "--quiet", "--checkpoint-every", 1)
    assert done.returncode == 0 and "changed: nothing" in done.stdout, done.stderr
    assert all(np.array_equal(a, b) for a, b in zip(sl.Weights.load(out), sl.Weights.load(parent), strict=True))
    assert "it is complete" in command("resume", out).stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--at", "6"], "fork must begin before the training has ended (got 'complete after 6 updates'); --at UPDATE says where"),
        (["--at", "7"], "fork.at must be at most 6, the updates of the whole training (got 7)"),
        (["--at", "4", "--set", "dtype=float64"], "--set must be one of 'rule', 'optimizer', "),
        (["--at", "4", "--set", "optimizer.rate=1"], "--set, optimizer.rate: Adam has no 'rate'; it has lr, "),
        (["--at", "4", "--set", "rule=magic"], "--set, rule must be one of bptt, "),
        (["--at", "4", "--set", "seed"], "--set must have the form KEY=VALUE"),
        (["--out", "run.h5"], "--out must name a new file (got 'run.h5')"),
        (["--at", "4", "--out", "run.h5", "--overwrite"], "--out must be another file than the one that is forked"),
    ],
)
def test_what_a_fork_refuses(parent, arguments, sentence, tmp_path):
    where = {} if "--out" not in arguments else {"cwd": parent.parent}
    done = command("fork", parent, *([] if "--out" in arguments else ["--out", tmp_path / "x.h5"]), *arguments, **where)
    assert done.returncode == 1 and sentence in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "x.h5").exists()
    with sl.open_recording(parent) as rec:
        assert rec.status == "complete"


def test_the_help_is_enough():
    told = command("fork", "--help").stdout
    for text in ("optimizer.lr=1e-3", "rule=eprop:2", "--at UPDATE", "two rules with an identical past"):
        assert text in told, told
