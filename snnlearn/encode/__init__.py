"""Encoders: analog series become currents or spikes.

    Current          the values themselves, scaled and shifted                       array
    Window           the last k values beside each other, as delay lines of fixed length      array
    GaussianFields   units with overlapping receptive fields along each channel      array
    Poisson          random spikes whose rate follows the value                      Events
    Latency          one spike a value, the earlier the larger it is                 Events
    Delta            a spike up or down whenever a value has moved by a threshold     Events
    Chain            several of them, one after another

An encoder is a frozen description; ``encoder(x, rng)`` encodes a series [T, n]. Every row lasts `encoder.steps` steps. A task
takes one as `sl.tasks.Arrays(xs, ys, encoder=...)`, and draws random spikes anew at every presentation.
`make(encoder.to_dict())` gives an encoder back. A new encoder is a subclass of `Encoder` in a file of this folder.
"""

from .analog import Current, GaussianFields, Window
from .base import Chain, Encoder, make
from .spikes import Delta, Latency, Poisson

__all__ = ["Chain", "Current", "Delta", "Encoder", "GaussianFields", "Latency", "Poisson", "Window", "make"]
