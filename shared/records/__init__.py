"""The files in which the stages meet: one schema each."""
