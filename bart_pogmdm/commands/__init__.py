"""The command lines `bart pogmdm` and `bart-pogmdm`: one module for each command, which parses and prints.

The help must come quickly: `pogmdm` imports NumPy, and the modules that need it, only for a reconstruction.
"""

# `bart-pogmdm NAME` runs the function NAME in the module NAME.  With any other first word `pogmdm` runs.
COMMANDS = ("install", "uninstall", "doctor", "info", "volume", "convert", "train", "export", "show", "compare", "view",
            "serve")
