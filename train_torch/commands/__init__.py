"""The commands of the Torch stage."""
