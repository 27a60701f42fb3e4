"""Comparison of the two frameworks, and conversion of weights, through files."""
