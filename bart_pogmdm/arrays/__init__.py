"""Arrays of NumPy and CuPy behind one set of functions: FFTs, threads, random numbers, linear systems, hot loops."""
