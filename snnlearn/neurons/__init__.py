"""Neuron models; a new one is a new file here and a line below."""

from .alif import ALIF
from .base import Neuron
from .lif import LIF

__all__ = ["ALIF", "LIF", "Neuron"]
