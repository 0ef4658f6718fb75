"""Whether the numbers are right: identities between rules, reference cases, losses that other simulators print.

May import the simulator and analysis, and what they may import.
"""
