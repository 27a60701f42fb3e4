"""The commands compare and convert."""
