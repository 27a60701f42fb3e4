"""Checkpoints of other projects, read without their frameworks and without running anything that they contain."""
