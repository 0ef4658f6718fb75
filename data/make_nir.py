"""Make data/nir: graphs that snnTorch and Norse write, and the spikes that they give for one input.

    python -m venv torch && torch/bin/pip install nir nirtorch snntorch norse torch
    torch/bin/python data/make_nir.py data/nir

For each network a file <name>.nir, and in runs.h5 a group <name>: x u1 [T, n_inputs], the spikes of each layer u1 [T, n], in
Norse's network with a readout its value f8 [T, n_out], and as attributes the versions.
"""

from __future__ import annotations

import pathlib
import sys
from importlib.metadata import version

import h5py
import nir
import norse.torch as norse
import numpy as np
import snntorch
import torch
from norse.torch.functional.reset import reset_subtract
from norse.torch.module.leaky_integrator_box import LIBoxCell, LIBoxParameters
from norse.torch.module.lif_box import LIFBoxCell, LIFBoxParameters
from norse.torch.utils.export_nir import to_nir
from snntorch.export_nir import export_to_nir

T, N_IN, N, N_OUT = 100, 8, 12, 5


def linear(n_in: int, n_out: int, scale: float, bias: bool = True) -> torch.nn.Linear:
    """A linear layer with weights that make neurons spike."""
    layer = torch.nn.Linear(n_in, n_out, bias=bias)
    torch.nn.init.normal_(layer.weight, 0.2 * scale, scale)
    if bias:
        torch.nn.init.uniform_(layer.bias, 0.0, 0.1)
    return layer


def vector(n: int, low: float, high: float) -> torch.Tensor:
    """n values between low and high."""
    return torch.empty(n).uniform_(low, high)


def snntorch_leaky() -> torch.nn.Module:
    """Two layers, decays and thresholds per neuron, with and without bias."""
    return torch.nn.Sequential(
        linear(N_IN, N, 0.5, bias=False),
        snntorch.Leaky(beta=vector(N, 0.7, 0.95), threshold=vector(N, 0.5, 1.5), init_hidden=True),
        linear(N, N_OUT, 0.5),
        snntorch.Leaky(beta=vector(N_OUT, 0.7, 0.95), threshold=vector(N_OUT, 0.5, 1.5), init_hidden=True, output=True),
    )


def snntorch_immediate() -> torch.nn.Module:
    """One layer whose reset is subtracted within the step, driven so that one subtraction suffices."""
    beta, threshold = torch.full((N,), 0.9), torch.full((N,), 1.5)
    leaky = snntorch.Leaky(beta=beta, threshold=threshold, init_hidden=True, reset_delay=False)
    return torch.nn.Sequential(linear(N_IN, N, 0.2), leaky)


def snntorch_rsynaptic() -> torch.nn.Module:
    """A recurrent layer with synaptic currents, which snnTorch writes as a subgraph, and a recurrent one without."""
    first = snntorch.RSynaptic(alpha=0.6, beta=0.85, linear_features=N, threshold=1.5, init_hidden=True)
    second = snntorch.RLeaky(beta=0.8, linear_features=N_OUT, threshold=1.0, init_hidden=True, output=True)
    for layer, n in ((first, N), (second, N_OUT)):
        torch.nn.init.normal_(layer.recurrent.weight, 0.0, 0.6 / n**0.5)
        torch.nn.init.uniform_(layer.recurrent.bias, 0.0, 0.05)
    return torch.nn.Sequential(linear(N_IN, N, 0.4), first, linear(N, N_OUT, 0.5), second)


def norse_lif_box() -> torch.nn.Module:
    """A layer that subtracts the threshold within the step, with a leak potential, and a leaky integrator as readout."""
    p = LIFBoxParameters(vector(N, 50.0, 200.0), vector(N, -0.1, 0.1), vector(N, 0.4, 0.8), reset_method=reset_subtract)
    out = LIBoxParameters(tau_mem_inv=torch.full((N_OUT,), 50.0), v_leak=torch.zeros(N_OUT))
    return norse.SequentialState(linear(N_IN, N, 4.0), LIFBoxCell(p), linear(N, N_OUT, 1.0), LIBoxCell(out))


def run_snntorch(net: torch.nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Spikes of each layer."""
    spikes: dict[str, list[np.ndarray]] = {}
    for row in x:
        value, k = row[None], 0
        for layer in net:
            value = layer(value)
            if not isinstance(layer, torch.nn.Linear):
                value = value[0] if isinstance(value, tuple) else value
                spikes.setdefault(f"spikes{k}", []).append(value[0].detach().numpy())
                k += 1
    return {name: np.array(rows) for name, rows in spikes.items()}


def run_norse(net: torch.nn.Module, x: torch.Tensor) -> dict[str, np.ndarray]:
    """Spikes of the layer and values of the readout."""
    hidden, readout = list(net)[:2], list(net)[2:]
    spikes, values, state, out = [], [], None, None
    for row in x:
        z, state = hidden[1](hidden[0](row[None]), state)
        y, out = readout[1](readout[0](z), out)
        spikes.append(z[0].detach().numpy())
        values.append(y[0].detach().double().numpy())
    return {"spikes0": np.array(spikes), "readout": np.array(values)}


def main(folder: pathlib.Path) -> None:
    """Write all files."""
    folder.mkdir(parents=True, exist_ok=True)
    packages = {name: version(name) for name in ("nir", "nirtorch", "snntorch", "norse", "torch")}
    with h5py.File(folder / "runs.h5", "w", track_order=True) as file:
        file.attrs.update(packages)
        for seed, make in enumerate((snntorch_leaky, snntorch_immediate, snntorch_rsynaptic, norse_lif_box)):
            torch.manual_seed(seed)
            net, x = make(), (torch.rand(T, N_IN) < 0.2).float()
            sample = x[:1]
            if make is norse_lif_box:
                graph, result = to_nir(net, sample, dt=1.0), run_norse(net, x)  # dt=1: time constants in seconds
            else:
                graph = export_to_nir(net, sample, ignore_dims=[0])
                for layer in net:
                    if hasattr(layer, "mem"):
                        layer.mem = torch.zeros(0)
                    for name in ("syn", "spk"):
                        if hasattr(layer, name):
                            setattr(layer, name, torch.zeros(0))
                result = run_snntorch(net, x)
            plain(graph)
            nir.write(folder / f"{make.__name__}.nir", graph)
            group = file.create_group(make.__name__)
            group["x"] = x.numpy().astype("u1")
            for name, values in result.items():
                group[name] = values.astype("u1") if name.startswith("spikes") else values
                print(make.__name__, name, float(values.mean()))


def plain(graph: nir.NIRGraph) -> None:
    """Tensors as arrays, and single numbers as arrays of one, which `nir.write` needs."""
    for node in graph.nodes.values():
        if isinstance(node, nir.NIRGraph):
            plain(node)
            continue
        for name, value in vars(node).items():
            if isinstance(value, torch.Tensor):
                value = value.detach().numpy()
            if isinstance(value, np.ndarray) and value.ndim == 0:
                value = value[None]
            setattr(node, name, value)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
