"""The BART toolbox on this machine: calling it, finding it, and making `bart pogmdm` one of its commands."""
