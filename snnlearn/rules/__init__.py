"""Learning rules; a new one is a new file here and a line below."""

from .base import Rule
from .bptt import BPTT, TruncatedBPTT
from .eprop import EProp
from .rflo import RFLO
from .rtrl import RTRL, SnAp
from .uoro import UORO

__all__ = ["BPTT", "RFLO", "RTRL", "UORO", "EProp", "Rule", "SnAp", "TruncatedBPTT"]
