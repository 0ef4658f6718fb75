"""HDF5 files that survive kills and damage: columns that grow, a journal, slots for checkpoints, checksums.

Knows neither neurons nor rules; may import _check and _interrupts alone.
"""
