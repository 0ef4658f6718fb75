"""Learning rules; a new one is a new file here and a line below."""

from .base import Rule
from .bptt import BPTT
from .eprop import EProp

__all__ = ["BPTT", "EProp", "Rule"]
