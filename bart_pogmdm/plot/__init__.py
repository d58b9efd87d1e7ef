"""Pictures of reconstructions, priors and comparisons; matplotlib (extra `plot`) is imported when one is drawn."""
