"""Training of the prior by denoising score matching, in torch."""
