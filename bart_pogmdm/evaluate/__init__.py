"""What looks at priors and results; needs matplotlib (extra `plot`)."""
