"""The prior: PoGMDM with its filters and experts, its file, and the phase and scale of the images it knows."""
