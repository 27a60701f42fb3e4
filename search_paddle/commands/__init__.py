"""The command of the search stage."""
