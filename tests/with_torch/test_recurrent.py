"""The module of PyTorch against autograd of the same surrogate model, and what a module must do."""

import copy
import io

import numpy as np
import pytest
from scipy import sparse
from twin import draw, library

import snnlearn as sl

torch = pytest.importorskip("torch")
NAMES = ("w_in", "w_rec", "w_out", "b_out")
CASES = {
    "lif-delay": dict(delay=2, n_ref=2),
    "lif-masked": dict(density=0.6, density_in=0.7, n_ref=1, normalize_readout=True, bias=False),
    "lif-analog": dict(analog=True, dt=0.5, n_ref=1),
    "alif": dict(kind="alif", n_ref=3, kappa=0.0),
    "mixed": dict(
        kind="mixed", heterogeneous=True, n_ref=3, delay=3, density=0.6, initial=True, analog=True, normalize_input=True
    ),
}


class Spike(torch.autograd.Function):
    """Heaviside, with psi as its derivative."""

    @staticmethod
    def forward(ctx, over, free, thr, gamma):
        ctx.save_for_backward(over / thr, free, gamma / thr)
        return ((over > 0) & free).to(over.dtype)

    @staticmethod
    def backward(ctx, g):
        x, free, height = ctx.saved_tensors
        return g * height * torch.clamp(1.0 - x.abs(), min=0.0) * free, None, None, None


def unrolled(net, w, x):
    """The model of `naive.py` in torch, step by step: readouts [trials, T, n_out]. net : naive.Net; w : tensors by name"""
    alpha, thr, zeta, rho, beta, gamma, current = (
        torch.tensor(getattr(net, name)) for name in ("alpha", "thr", "zeta", "rho", "beta", "gamma", "current")
    )
    trials, n_steps, _ = x.shape
    v, a = (torch.tensor(value).expand(trials, net.n) for value in (net.v0, net.a0))
    y, outputs = torch.zeros(trials, net.n_out, dtype=x.dtype), []
    past = [torch.zeros(trials, net.n, dtype=x.dtype)] * max(1, net.delay, net.n_ref.max())
    for t in range(n_steps):
        v = alpha * v + zeta * (x[:, t] @ w["w_in"] + past[net.delay - 1] @ w["w_rec"] + current) - thr * past[0]
        a = rho * a + past[0]
        blocked = torch.stack([(past[k].detach() > 0) & torch.tensor(k < net.n_ref) for k in range(len(past))])
        z = Spike.apply(v - thr - beta * a, ~blocked.any(0), thr, gamma)
        y = net.kappa * y + net.readout_scale * (z @ w["w_out"] + w["b_out"])
        outputs.append(y)
        past = [z, *past[:-1]]
    return torch.stack(outputs, dim=1)


def close(got, want):
    got, want = (np.asarray(a.detach()) for a in (got, want))
    assert np.linalg.norm(got - want) <= 1e-8 * np.linalg.norm(want)


@pytest.mark.parametrize("name", CASES)
def test_bptt_is_autograd_of_the_same_model(name):
    case = draw(**CASES[name], n_trials=3)
    net, weights, _ = library(case)
    layer = sl.torch.RecurrentSpiking(net, sl.BPTT(), weights).double()
    w = {name: torch.tensor(getattr(weights, name), requires_grad=True) for name in NAMES}
    for parameter, value in zip(layer.parameters(), w.values(), strict=False):
        parameter.data[:] = value.detach()  # float32 would round them
    x = torch.tensor(np.asarray(case.x, float), requires_grad=True)
    other, factor = x.detach().clone().requires_grad_(), torch.tensor(np.random.default_rng(0).normal(size=3)[:, None, None])
    y, want = layer(x), unrolled(case.net, w, other)
    close(y, want)
    for readout in (y, want):  # a loss of many steps, trials and outputs at once
        (factor * readout).tanh().pow(2).sum().backward()
    assert other.grad.abs().max() > 1e-4 and w["w_rec"].grad.abs().max() > 1e-4
    close(x.grad, other.grad)
    present = {"w_in": torch.tensor(case.net.conn_in), "w_rec": torch.tensor(case.net.conn_rec)}
    for key, parameter in layer.named_parameters():
        close(parameter.grad, w[key].grad * present.get(key, True))
    assert ("b_out" in dict(layer.named_parameters())) == case.net.bias


def network(**options):
    return sl.Network(4, sl.LIF(12, threshold=0.4), sl.Readout(2, tau=8.0, bias=True), **options)


def inputs(trials=5, steps=30, dtype=None):
    return torch.tensor(np.random.default_rng(1).normal(size=(trials, steps, 4)), dtype=dtype or torch.float32)


@pytest.mark.parametrize("rule", [sl.EProp(feedback="random"), sl.EProp(order=2), sl.RTRL(), sl.EProp(method="forward")])
def test_every_rule_gives_its_own_gradient(rule):
    net = network()
    layer = sl.torch.RecurrentSpiking(net, rule, seed=3, regularizer=sl.RateRegularizer(20.0, 1.0)).double()
    x, target = inputs(dtype=torch.float64), np.random.default_rng(2).normal(size=(5, 30, 2))
    loss = 0.5 * (layer(x) - torch.tensor(target)).pow(2).sum() / 5
    loss.backward()
    want = sl.gradient(net, layer.weights, x.numpy(), target, rule, regularizer=layer.regularizer)
    assert want.loss == pytest.approx(loss.item(), rel=1e-12)
    assert want.regularization == pytest.approx(layer.regularization, rel=1e-12)
    for name, parameter in layer.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), getattr(want, name), rtol=1e-10, atol=1e-13)


def test_it_learns_between_other_layers():
    torch.manual_seed(0)
    layer = sl.torch.RecurrentSpiking(network(), sl.EProp())
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), layer, torch.nn.Linear(2, 1))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    x = torch.randn(8, 40, 3)
    target, losses = torch.sin(torch.arange(40.0) / 6)[None, :, None].expand(8, -1, -1), []
    for _ in range(60):
        optimizer.zero_grad()
        loss = (model(x) - target).pow(2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0] and layer.rate > 0
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.no_grad():
        y = layer(model[0](x))
    sim = sl.Simulator(layer.net, layer.weights)
    want = sl.simulate(sim.net, sim.weights, model[0](x).detach().numpy(), record=("readout",)).readout
    assert np.array_equal(y.numpy(), want)


def test_a_layer_may_be_used_twice_and_later():
    layer = sl.torch.RecurrentSpiking(network(), sl.BPTT()).double()
    x, other = inputs(dtype=torch.float64), inputs(3, 20, torch.float64) + 0.1
    grads = []
    for order in ((x,), (other,), (x, other)):
        layer.zero_grad()
        sum(layer(part).pow(2).sum() for part in order).backward()
        grads.append(layer.w_rec.grad.clone())
    assert torch.allclose(grads[0] + grads[1], grads[2], rtol=1e-12)
    y = layer(x)
    with torch.no_grad():
        layer.w_in.mul_(2.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_single_trials_padded_batches_and_empty_gradients():
    layer = sl.torch.RecurrentSpiking(network(frozen=("w_in",)), sl.BPTT())
    x = inputs().requires_grad_()
    y = layer(x, steps=[30, 12, 7, 1, 30])
    assert not y[1, 12:].any() and torch.equal(layer(x[1, :12]), y[1, :12])
    y.pow(2).sum().backward()
    assert not x.grad[1, 12:].any() and x.grad[1, :12].any()
    assert layer.w_in.grad is None and layer.w_rec.grad.any() and not layer.w_rec.grad.diagonal().any()


def test_sparse_weights_are_their_values():
    net = network(recurrent=sl.Sparse(indegree=4), inputs=sl.Sparse(indegree=2))
    layer = sl.torch.RecurrentSpiking(net, sl.BPTT()).double()
    assert layer.w_rec.shape == (48,) and sparse.issparse(layer.weights.w_rec)
    x = inputs(dtype=torch.float64).requires_grad_()
    y = layer(x)
    y.pow(2).sum().backward()
    want = sl.gradient(net, layer.weights, x.detach().numpy(), y.detach().numpy() * -1, sl.BPTT(), by_inputs=True)  # err = 2 y
    np.testing.assert_allclose(layer.w_rec.grad, 5 * want.w_rec.data, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(x.grad, 5 * want.inputs, rtol=1e-10, atol=1e-13)


def test_noise_is_torchs_and_the_same_backward():
    net = sl.Network(4, sl.LIF(12, threshold=0.4, noise=0.3), sl.Readout(2, tau=8.0))
    layer = sl.torch.RecurrentSpiking(net, sl.BPTT()).double()
    x = inputs(dtype=torch.float64)
    torch.manual_seed(1)
    one, two = layer(x), layer(x)
    torch.manual_seed(1)
    assert torch.equal(one, layer(x)) and not torch.equal(one, two)
    seen = []
    for y in (one, two):
        layer.zero_grad()
        y.sum().backward()
        # what y.sum() earns at w_out are the filtered spikes of that very run, of which y is made
        seen.append((layer.w_out.detach() * layer.w_out.grad).sum())
        assert seen[-1].item() == pytest.approx(y.sum().item(), rel=1e-9)


def test_it_is_a_module_like_others():
    layer = sl.torch.RecurrentSpiking(network(), sl.EProp())
    x, buffer = inputs(), io.BytesIO()
    layer(x)
    assert torch.equal(copy.deepcopy(layer)(x), layer(x))
    torch.save(layer.state_dict(), buffer)
    buffer.seek(0)
    other = sl.torch.RecurrentSpiking(network(), sl.EProp(), seed=5)
    assert not torch.equal(other(x), layer(x))
    other.load_state_dict(torch.load(buffer))
    assert torch.equal(other(x), layer(x)) and repr(layer) == "RecurrentSpiking(4, 12, 2, EProp)"


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda: sl.torch.RecurrentSpiking(network(), "bptt"), TypeError, "RecurrentSpiking.rule must be a learning rule"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.EProp(feedback="adaptive")), ValueError, "the optimizer is torch's"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.RTRL())(inputs().requires_grad_()), ValueError, "must look back over"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.BPTT())(inputs().double()), ValueError, "be torch.float32 on the CPU"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.BPTT())(torch.zeros(3, 7)), ValueError, r"be a tensor \[T, 4\]"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.BPTT())(np.zeros((3, 4))), TypeError, r"be a tensor \[T, 4\]"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.BPTT())(inputs(), steps=[1]), ValueError, "RecurrentSpiking.steps must"),
        (lambda: sl.torch.RecurrentSpiking(network(), sl.BPTT()).half()(inputs().half()), ValueError, "float32 or float64"),
    ],
)
def test_bad_input_is_one_sentence(call, error, text):
    with pytest.raises(error, match=text) as told:
        call()
    assert "\n" not in str(told.value)


def test_there_is_no_second_derivative():
    layer = sl.torch.RecurrentSpiking(network(), sl.BPTT())
    with pytest.raises(ValueError, match="be differentiated once"):
        torch.autograd.grad(layer(inputs()).pow(2).sum(), layer.w_in, create_graph=True)
