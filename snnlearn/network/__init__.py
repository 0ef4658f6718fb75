"""Networks: neurons, connectivity, weights, readout, and how a matrix is stored and walked along its rows.

May import compiler and neurons.
"""

from .connectivity import Dense, Masked, Sparse
from .network import Network, Readout, Weights

__all__ = ["Dense", "Masked", "Network", "Readout", "Sparse", "Weights"]
