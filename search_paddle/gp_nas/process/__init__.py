"""One Gaussian process: covariance, likelihood, posterior. Start at posterior.py, whose table explains all symbols."""
