"""Which trained networks belong together, by the covariance of their errors. NumPy only."""
