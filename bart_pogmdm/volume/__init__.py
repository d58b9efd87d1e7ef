"""Reconstruction of volumes: slices on many processes or machines, and runs that can be interrupted at any time."""
