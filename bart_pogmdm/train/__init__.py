"""Training of the prior: a differentiable twin in torch, denoising score matching, projected AdaBelief, export."""
