"""Weights between our files, Paddle, Torch and published checkpoints."""
