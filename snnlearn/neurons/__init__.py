"""Neuron models; a new one is a new file here and a line below."""

from .alif import ALIF
from .base import Neuron
from .cuba import CubaLIF
from .lif import LIF

__all__ = ["ALIF", "LIF", "CubaLIF", "Neuron"]
