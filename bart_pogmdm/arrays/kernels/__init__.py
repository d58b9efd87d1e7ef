"""The hot loops: `cpu` compiled by numba, `cuda` for CuPy, and `generic` in array operations, the slow twin of both.

`transforms` has loops with Fourier transforms for the CPU, which call those of `cpu`.
"""
