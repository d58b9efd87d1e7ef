"""The command lines `bart pogmdm` and `bart-pogmdm`: one module for each command, which parses and prints.

The help must come quickly: a command imports NumPy and all that computes only once it knows that it has to compute.
"""

# `bart-pogmdm NAME`; the function NAME in the module of that name runs it.  All other words are for `pogmdm`.
COMMANDS = ("install", "uninstall", "doctor", "volume", "train", "show", "compare", "view")
