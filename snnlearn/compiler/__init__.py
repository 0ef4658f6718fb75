"""The only place that imports `numba.core`, `numba.extending` or `llvmlite`: each use is tried, with a way without it.

fallback      uses of Numba's private parts that fail are noted, told of once, and done without
cache         where kernels on disk are kept, and what they are known by
compilations  what is compiled as it happens: announced, counted
pipeline      helpers that are linked into kernels and optimised there, once
dispatch      kernels, their helpers, and one implementation per class of argument
instructions  LLVM's words for what Numba has none for; intrinsics: the functions that kernels call for them
barrier       threads that run one trial together
entry         machine code that loads arguments; bound_call: calls of a kernel with arguments that stay
"""
