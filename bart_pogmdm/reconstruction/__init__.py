"""The public call: k-space in, image and sensitivities out."""
