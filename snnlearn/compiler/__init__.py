"""The only place that imports `numba.core`, `numba.extending` or `llvmlite`.

cache         what kernels on disk are known by
compilations  what is compiled as it happens: announced, counted
pipeline      helpers that are linked into kernels and optimised there, once
dispatch      kernels, their helpers, and one implementation per class of argument
intrinsics    what Numba has no word for: prefetching, denormal numbers, atomic counters
barrier       threads that run one trial together
bound_call    calls of a kernel with arguments that stay
"""
