"""Picture files, read and written at the depth that they state."""
