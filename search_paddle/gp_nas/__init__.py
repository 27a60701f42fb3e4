"""GP-NAS: proposes architectures by a Gaussian process and mutual information. NumPy and SciPy only; start at sampler.py."""

from search_paddle.gp_nas.sampler import GPNAS

__all__ = ["GPNAS"]
