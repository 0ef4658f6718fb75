"""Spiking networks as layers of PyTorch: `RecurrentSpiking`. It needs torch.

    layer = sl.torch.RecurrentSpiking(net, sl.EProp())
    y = layer(x)  # [trials, T, n_inputs] -> [trials, T, n_outputs]

Forward is the compiled simulation, backward the gradient of a learning rule, by the weights and by the input.
"""

from .recurrent import RecurrentSpiking

__all__ = ["RecurrentSpiking"]
