"""The only place that imports `numba.core`, `numba.extending` or `llvmlite`: each use is tried, with a way without it.

fallback      notes uses of Numba's private parts that fail, and warns once; the package then works without them
cache         where kernels on disk are kept, and what they are known by
compilations  what is compiled as it happens: announced, counted
pipeline      helpers that are linked into kernels and optimised there, once
dispatch      kernels, their helpers, and one implementation per class of argument
instructions  processor instructions that Numba does not offer, written in LLVM's language; intrinsics: the functions that kernels
              call for them
barrier       threads that run one trial together
entry         a few instructions that load a kernel's arguments; bound_call: repeated calls with the same arguments
"""
