"""Networks: neurons, connectivity, weights, readout, and how a matrix is stored and walked along its rows.

May import compiler and neurons.
"""
