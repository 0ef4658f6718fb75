"""What recordings and networks tell: rates, intervals, responses; rules side by side; eligibility traces of single synapses.

May import everything below: recording, simulator, rules, network.
"""

from .spikes import PSTH, Intervals, Rates, intervals, psth, rates

__all__ = ["PSTH", "Intervals", "Rates", "intervals", "psth", "rates"]
