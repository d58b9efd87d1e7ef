"""The server of the MRD streaming protocol."""
