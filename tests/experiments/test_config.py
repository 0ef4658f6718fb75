"""A run as a TOML file: complete, checked, and bit-identical to the run from Python."""

import tomllib

import numpy as np
import pytest
from kills import BATCH, LIF, TASK, contents, differing

import snnlearn as sl
from snnlearn.experiments import toml
from snnlearn.experiments.recipes import RECIPES

MASK = np.random.default_rng(1).random((8, 8)) < 0.5
NET = sl.Network(TASK.n_inputs, LIF, sl.Readout(2, tau=5.0), delay=2.0)


def small(**changes):
    """The kind of run that the tests of checkpoints use."""
    parts = {
        "task": TASK,
        "net": NET,
        "rule": sl.EProp(feedback="adaptive", seed=2),
        "optimizer": sl.Adam(sl.ExponentialDecay(5e-3, 0.5, 50), clip_norm=5.0),
        "loss": sl.CrossEntropy(),
        "training": sl.TrainingPlan(3 * BATCH, BATCH, evaluate_every=2, evaluate_trials=4),
        "recorder": {"v": [0, 3], "weights_every": 2},
        "seed": 5,
        "threads": 1,
    }
    return sl.Config(**parts | changes)


RICH = small(
    net=sl.Network(
        TASK.n_inputs,
        [sl.LIF(3, tau_m=(10.0, 20.0, 1e-5 + 30.0), surrogate=sl.ArcTan(0.4)), sl.ALIF(5, tau_a=0.1 + 0.2, noise=0.1)],
        sl.Readout(2, tau=0.0, bias=True, normalize_input=True),
        recurrent=sl.Masked(MASK),
        inputs=sl.Sparse(indegree=3),
        frozen=("w_in",),
    ),
    rule=sl.EProp(order=None, feedback=np.linspace(-1, 1, 16).reshape(8, 2), method="adjoint", reset_gradient=True),
    optimizer=sl.SGD(sl.CosineDecay(0.1, 30), momentum=0.5, bounds={"w_rec": (-np.inf, 1.0)}),
    regularizer=sl.RateRegularizer(10.0, 0.3, tau=50.0),
    passive=[sl.BPTT(), sl.SnAp(2, max_bytes=2**20)],
    weights=sl.InitialWeights(seed=3, gain={"w_in": 1.5}),
    recorder={
        **{"v": "0:3", "psi": True, "variables": {"threshold": [1]}, "compression": None, "checkpoint_every": 2},
        **{"windows": [[None, 10.0], [15.0, None]], "eligibility": {"w_in": [[0, 4]]}, "synapses": {"w_out": [[1, 0]]}},
        **{"eligibility_parts": ["eligibility"], "reduce": {"rates": 100.0}, "every_steps": 2},
    },
    sweep={"optimizer.momentum": [0.0, 0.5]},
)


@pytest.mark.parametrize("config", [small(), RICH], ids=["small", "rich"])
@pytest.mark.parametrize("comments", [True, False])
def test_a_configuration_comes_back_from_toml(config, comments, tmp_path):
    back = sl.Config.from_dict(tomllib.loads(config.to_toml(comments)))
    assert back == config and back.digest == config.digest
    assert back.net == config.net and back.optimizer == config.optimizer
    np.testing.assert_equal(vars(back.rule), vars(config.rule))
    config.save(tmp_path / "run.toml")
    assert sl.load_config(tmp_path / "run.toml") == config
    with pytest.raises(FileExistsError):
        config.save(tmp_path / "run.toml")


def test_a_configuration_rewires(tmp_path):
    net = sl.Network(TASK.n_inputs, LIF, sl.Readout(2, tau=5.0), recurrent=sl.Sparse(indegree=3))
    plain, spec = small(net=net), sl.DeepR(l1=2.0, temperature=1.0)
    config = small(net=net, rewiring=spec)
    assert "rewiring" not in plain.to_dict() and "[rewiring]" not in plain.to_toml() and plain.digest != config.digest
    text = config.to_toml()
    assert "[rewiring]" in text and "temperature = 1.0" in text and "random walk" in text
    back = sl.Config.from_dict(tomllib.loads(text))
    assert back == config and back.rewiring == spec
    assert plain.updated({"rewiring": spec}) == config and config.updated({"rewiring": None}) == plain
    assert config.updated({"rewiring.every": 3}).rewiring == sl.DeepR(2.0, 1.0, every=3)
    config.run(tmp_path / "run.h5")
    assert sl.Config.of_recording(tmp_path / "run.h5") == config
    sim = sl.Simulator(net, rule=config.rule, optimizer=config.optimizer, loss=config.loss, seed=5, rewiring=spec)
    sim.train(TASK, 3 * BATCH, BATCH, evaluate_every=2, evaluate_trials=4)
    with sl.open_recording(tmp_path / "run.h5") as recording:
        assert recording.rewiring.update.size > 0
        assert np.array_equal(recording.weights().w_rec.toarray(), sim.weights.w_rec.toarray())
    with pytest.raises(ValueError, match=r"config, rewiring.every: DeepR.every must be a positive number of updates \(got 0\)"):
        sl.Config.from_dict(config.to_dict() | {"rewiring": {"every": 0}})
    with pytest.raises(ValueError, match=r"config, rewiring: Config.rewiring must have a sparse matrix that learns"):
        sl.Config.from_dict(small().to_dict() | {"rewiring": {}})


@pytest.mark.parametrize("task", RECIPES)
def test_recipes_come_back(task):
    config = RECIPES[task](neurons=10, iterations=3)
    text = config.to_toml()
    assert sl.Config.from_dict(tomllib.loads(text)) == config
    assert "membrane time constant, ms" in text and "validation split" in text
    assert max(map(len, text.splitlines())) < 160


def test_digests_tell_results_apart_and_nothing_else():
    config = small()
    assert small(threads=3).digest == small(sweep={"seeds": [1, 2]}).digest == small(path="a.h5").digest == config.digest
    assert small(recorder={"spikes": True, "v": [0, 3], "weights_every": 2}) == config
    others = [small(seed=6), small(rule=sl.EProp()), small(dtype="float64"), small(recorder={})]
    others += [small(training=sl.TrainingPlan(4 * BATCH, BATCH)), small(weights=sl.InitialWeights(gain=2.0))]
    assert len({config.digest, *(other.digest for other in others)}) == 7


def test_a_run_from_toml_is_the_run_from_python(tmp_path):
    config = small()
    sim = sl.Simulator(
        NET,
        rule=config.rule,
        optimizer=config.optimizer,
        loss=config.loss,
        seed=5,
        threads=1,
    )
    with sl.Recorder(tmp_path / "python.h5", v=[0, 3], weights_every=2) as recorder:
        by_hand = sim.train(TASK, 3 * BATCH, BATCH, recorder, evaluate_every=2, evaluate_trials=4)
    config.save(tmp_path / "run.toml")
    history = sl.load_config(tmp_path / "run.toml").run(tmp_path / "toml.h5")
    assert history.loss == by_hand.loss and len(history.loss) == 3
    reference = contents(tmp_path / "python.h5", cut=False)
    assert not differing(reference, contents(tmp_path / "toml.h5", cut=False), prefix=False)
    for name in ("python", "toml"):  # what was recorded is repeated from either file
        again = sl.Config.of_recording(tmp_path / f"{name}.h5")
        assert again.updated({"threads": 1}) == config
    with sl.open_recording(tmp_path / "toml.h5") as recording:
        assert recording.config["digest"] == config.digest


def test_given_weights_are_taken_from_the_recording(tmp_path):
    weights = NET.init_weights(9, gain=1.1)
    sim = sl.Simulator(NET, weights, sl.EProp(), sl.SGD(1e-3), sl.CrossEntropy(), threads=1)
    with sl.Recorder(tmp_path / "run.h5", weights_every=5) as recorder:
        sim.train(TASK, 2 * BATCH, BATCH, recorder)
    config = sl.Config.of_recording(tmp_path / "run.h5")
    assert config.weights.update == 0
    np.testing.assert_array_equal(config.simulator().weights.w_in, weights.w_in.astype("f4"))
    sim = sl.Simulator(NET, weights, sl.EProp(), sl.SGD(1e-3), sl.CrossEntropy(), threads=1)
    with sl.Recorder(tmp_path / "bare.h5") as recorder:
        sim.train(TASK, BATCH, BATCH, recorder)
    with pytest.raises(ValueError, match="hold the weights that were given to the simulator"):
        sl.Config.of_recording(tmp_path / "bare.h5")


def test_what_is_the_tasks_need_not_be_said(tmp_path):
    text = """
    [task]
    name = "copy"
    [network]
    neurons = [{type = "LIF", n = 4}]
    [rule]
    type = "BPTT"
    [optimizer]
    type = "SGD"
    lr = 0.1
    [loss]
    type = "CrossEntropy"
    [training]
    trials = 8
    """
    config = sl.Config.from_dict(tomllib.loads(text))
    task = sl.tasks.Copy()
    assert (config.net.n_inputs, config.net.n_outputs, config.net.dt) == (task.n_inputs, task.n_outputs, task.dt)
    slow = tomllib.loads(text)
    for dt, delay, steps in ((0.5, None, 2), (0.5, "none", 1), (2.0, None, 1), (0.5, 1.5, 3)):  # 1 ms where nothing is said
        slow["task"] = {"name": "copy", "dt": dt}
        slow["network"] = {"neurons": [{"type": "LIF", "n": 4}]} | ({} if delay is None else {"delay": delay})
        assert sl.Config.from_dict(slow).net.delay_steps == steps
    values = config.to_dict()
    for readout, sentence in ((task.n_outputs, None), (2.5, r"config, network.readout: Network.readout must be a Readout or a")):
        values["network"]["readout"] = readout
        if sentence is None:
            assert sl.Config.from_dict(values).net.readout == sl.Readout(task.n_outputs)
        else:
            with pytest.raises(TypeError, match=sentence):
                sl.Config.from_dict(values)


def test_arrays_may_stand_in_files(tmp_path):
    np.savez(tmp_path / "arrays.npz", mask=MASK)
    values = small().to_dict()
    values["network"]["recurrent"] = {"type": "Masked", "mask": {"file": "arrays.npz", "array": "mask"}}
    config = sl.Config.from_dict(values, folder=tmp_path)
    assert config.net.recurrent == sl.Masked(MASK)
    with pytest.raises(ValueError, match=r"config, network.recurrent.mask: the array 'mask' of .* cannot be read"):
        sl.Config.from_dict(values, folder=tmp_path / "elsewhere")


def test_changes_by_dotted_keys():
    config = small(sweep={"seeds": [1]})
    changed = config.updated({"optimizer.lr": 0.1, "network.neurons.0.tau_m": 5.0, "rule": "eprop:2", "seeds": 7})
    assert changed.optimizer.lr == 0.1 and changed.net.neurons[0].tau_m == 5.0
    assert (changed.rule.order, changed.rule.feedback, changed.seed, changed.task.seed) == (2, "adaptive", 7, 7)
    assert not changed.sweep
    assert config.updated({"rule": sl.BPTT()}).rule.seed == 0
    with pytest.raises(ValueError, match=r"Config.updated, optimiser.lr must be the dotted key .* there is no 'optimiser'"):
        config.updated({"optimiser.lr": 1.0})
    with pytest.raises(ValueError, match=r"Config.updated, optimizer.bound: Adam has no 'bound'; .* did you mean bounds"):
        config.updated({"optimizer.bound": 1.0})


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("tau_m = 20.0", "tau_m = -1.0", "line {}, network.neurons[0].tau_m: LIF.tau_m must be a positive time in ms (got -1.0)"),
        ("tau_m = 20.0", "tau = 1.0", "line {}, network.neurons[0].tau: LIF has no 'tau'; it has n, tau_m, "),
        ("gamma = 0.3", "gamma = 0", "network.neurons[0].surrogate.gamma: PiecewiseLinear.gamma must be a positive number"),
        ('type = "LIF"', 'type = "LIFF"', "line {}, network.neurons[0].type: the type must be one of LIF, ALIF"),
        (
            'type = "EProp"',
            'type = "Epropp"',
            "line {}, rule.type: the type must be one of EProp, BPTT, TruncatedBPTT, RTRL, SnAp, RFLO, UORO (got 'Epropp'); "
            "did you mean EProp?",
        ),
        ('type = "Adam"', 'type = "LIF"  # ', "line {}, optimizer.type: the type must be one of SGD, Adam (got 'LIF')"),
        (
            "n_inputs = 9",
            "n_inputs = 10",
            "line {}, network.n_inputs: Simulator.train.task.n_inputs must be 10, as the",
        ),
        (
            'update_every = "trial"',
            'update_every = "x"',
            "line {}, update_every: Config.update_every must be 'trial' or a positive",
        ),
        ("threads = 1", "threads = 5000", "line {}, threads: Config.threads must be at most 4096 (got 5000)"),
        ("trials = 12", "trials = 0", "line {}, training.trials: Simulator.train.trials must be a positive number (got 0)"),
        ("batch = 4", "bach = 4", "line {}, training.bach: TrainingPlan has no 'bach'; it has trials, batch"),
        (
            'type = "CrossEntropy"\nof = "steps"',
            'type = "MeanSquaredError"',
            "loss: Simulator.loss must be CrossEntropy for copy",
        ),
        ("beta1 = 0.9", "beta1 = 1.9", "line {}, optimizer.beta1: Adam.beta1 must be in [0, 1)"),
        ("rate = 0.5", "rat = 0.5", "optimizer.lr.rat: ExponentialDecay has no 'rat'"),
        ("[rule]", "[rules]", "line {}, rules: no such section or key; it has seed"),
        ("length = 2", "length = -2", "line {}, task.length: Copy.length must be"),
        ("delay = 2.0", "delay = 0.3", "line {}, network.delay: Network.delay must be a whole number of steps"),
        ("v = [0, 3]", "v = [0, 8]", "line {}, recorder.v: Recorder.v must select neurons from 0 to 7 (got 8)"),
        ("weights_every = 2", "weight_every = 2", "line {}, recorder.weight_every: [recorder] has no 'weight_every'"),
        ("evaluate_every = 2", "stop = 0.9", "training: Simulator.train.evaluate_every must be given where stop is a score"),
        ('dtype = "float32"', 'dtype = "int"', "line {}, dtype: Config.dtype must be 'float32' or 'float64'"),
        ("seed = 5", "seed = ", "is not TOML"),
    ],
)
def test_errors_name_the_line_and_the_key(tmp_path, old, new, sentence):
    text = small().to_toml(comments=False)
    assert old in text
    text = text.replace(old, new, 1)
    (tmp_path / "run.toml").write_text(text)
    number = 1 + text[: text.index(new)].count("\n")
    with pytest.raises((ValueError, TypeError)) as caught:
        sl.load_config(tmp_path / "run.toml")
    assert sentence.format(number) in str(caught.value)
    assert "run.toml" in str(caught.value)


def test_what_cannot_be_written_down_is_named():
    with pytest.raises(ValueError, match=r"Config.optimizer.lr must be a part of the package"):
        small(optimizer=sl.SGD(lambda update: 0.1)).to_toml()


def test_lines_of_keys():
    text = 'a = 1\n[b] # c = 2\n"x y" = 3\n[[n.g]]\nt = 1\n[[n.g]]\nt = 2\ns = {u = 1}\n[n.g.deep]\nw = 1\n'
    paths = [
        ("a",),
        ("b",),
        ("b", "x y"),
        ("n", "g", 0, "t"),
        ("n", "g", 1, "t"),
        ("n", "g", 1, "s", "u"),
        ("n", "g", 1, "deep", "w"),
    ]
    assert [toml.line_of(text, path) for path in paths] == [1, 2, 3, 5, 7, 8, 10]
    assert toml.line_of(text, ("q",)) is None
    for value in (1e-5, float("inf"), -3, 'a "b" \\ ü', True, [1.0, [2]], {"a b": {"c": [None]}}):
        expected = {"a b": {"c": ["none"]}} if isinstance(value, dict) else value
        assert tomllib.loads(f"x = {toml.value(value)}")["x"] == expected


def command(*words):
    """The exit status of a command, in this process."""
    from snnlearn.cli import make_parser

    options = make_parser().parse_args([str(word) for word in words])
    return options.run(options)


def test_commands_write_run_and_repeat_a_configuration(tmp_path, capsys):
    assert command("init", "digits", "--out", tmp_path / "digits.toml") == 0
    assert sl.load_config(tmp_path / "digits.toml").task == sl.tasks.Digits(coding="poisson")
    with pytest.raises(FileExistsError, match="--overwrite replaces it"):
        command("init", "digits", "--out", tmp_path / "digits.toml")
    small().save(tmp_path / "run.toml")
    changes = ["--set", "optimizer.clip_norm=2.5", "--set", "rule=eprop:1", "--quiet"]
    assert command("train", tmp_path / "run.toml", "--out", tmp_path / "a.h5", *changes) == 0
    assert command("train", "--like", tmp_path / "a.h5", "--out", tmp_path / "b.h5", "--quiet") == 0
    config = sl.Config.of_recording(tmp_path / "a.h5")
    assert (config.optimizer.clip_norm, config.rule.order) == (2.5, 1)
    assert not differing(contents(tmp_path / "a.h5", cut=False), contents(tmp_path / "b.h5", cut=False), prefix=False)
    with sl.open_recording(tmp_path / "a.h5") as recording:
        assert "--set optimizer.clip_norm=2.5" in recording.config["command"]
    assert "complete after 3 updates" in capsys.readouterr().out
    for words, sentence in [
        (["train"], "train must get one of TASK, a configuration FILE.toml, --like RECORDING and --data FORMAT PATH"),
        (["train", "digits", "--like", "a.h5"], r"train must get one of TASK, .* \(got 'digits and a.h5'\)"),
        (["train", "digits", "--set", "a=1"], "--set must come with a configuration FILE.toml or --like"),
        (["train", tmp_path / "run.toml", "--set", "a"], "--set must have the form KEY=VALUE"),
        (["train", tmp_path / "run.toml", "--lr", "0.1"], "--lr must come with a TASK .* --set optimizer.lr=... changes a"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            command(*words)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = " + "[" * 5000 + "]" * 5000, "is not TOML: its tables or lists are nested too deeply"),
        ("seed = " + "9" * 5000, "is not TOML: Exceeds the limit"),
        ("x" + ".a" * 3000 + " = 1", "nested too deeply|unknown|x"),
    ],
)
def test_texts_that_python_cannot_hold_are_refused(text, message, tmp_path):
    (tmp_path / "run.toml").write_text(text)
    with pytest.raises(ValueError, match=message):
        sl.load_config(tmp_path / "run.toml")


def test_digests_are_those_of_before_an_entry_existed():
    """A sweep goes on where its runs were named by an earlier version."""
    config = small()
    assert config.to_dict()["loss"]["of"] == "steps"
    values = config.to_dict()
    del values["loss"]["of"]
    assert sl.Config.from_dict(values).digest == config.digest
    assert config.updated({"loss.of": "mean"}).digest != config.digest
