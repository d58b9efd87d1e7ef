"""The hot loops: `cpu` compiled by numba, `generic` in array operations (the slow twin, and the one for CuPy)."""
