"""Image files, read and written at the bit depth that they state."""
