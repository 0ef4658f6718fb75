"""snnTorch: the same recurrent layer out of `snntorch.RLeaky` and `snntorch.Leaky`, with the same surrogate gradient."""

from __future__ import annotations

from typing import Any

import snnlearn as sl


def layer(net: sl.Network, weights: sl.Weights) -> Any:
    """A module x [trials, T, n_inputs] -> readout [trials, T, n_outputs] with these weights; LIF neurons of one kind alone.

    The readout's drive is scaled as the network's is. Its reset is detached, as BPTT(reset_gradient=False) has it.
    """
    import snntorch
    import torch

    (lif,), readout = net.neurons, net.readout
    alpha, kappa = float(torch.exp(torch.tensor(-net.dt / lif.tau_m))), readout.kappa(net.dt)
    scale = 1.0 - kappa if readout.normalize_input else 1.0
    height = lif.surrogate.gamma

    class Spike(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, over: Any) -> Any:
            ctx.save_for_backward(over)
            return (over > 0).float()

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (over,) = ctx.saved_tensors
            return g * height / lif.threshold * torch.clamp(1.0 - over.abs() / lif.threshold, min=0.0)

    class Layer(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.enter = torch.nn.Linear(net.n_inputs, net.n, bias=False)
            self.neurons = snntorch.RLeaky(alpha, linear_features=net.n, threshold=lif.threshold, spike_grad=Spike.apply)
            self.neurons.recurrent = torch.nn.Linear(net.n, net.n, bias=False)
            self.leave = torch.nn.Linear(net.n, net.n_outputs, bias=False)
            self.readout = snntorch.Leaky(kappa, reset_mechanism="none")
            places = (self.enter, self.neurons.recurrent, self.leave)
            for place, w in zip(places, (weights.w_in, weights.w_rec, weights.w_out), strict=True):
                place.weight.data[:] = torch.tensor(w).T

        def forward(self, x: Any) -> Any:
            spikes, v = self.neurons.reset_mem()
            y, readouts = self.readout.reset_mem(), []
            driven = self.enter(x)
            for t in range(x.shape[1]):
                spikes, v = self.neurons(driven[:, t], spikes, v)
                _, y = self.readout(scale * self.leave(spikes), y)
                readouts.append(y)
            return torch.stack(readouts, dim=1)

    return Layer()
