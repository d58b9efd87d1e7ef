"""Volumes: many slices on many processes or machines, and nothing lost."""
