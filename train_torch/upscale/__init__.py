"""Image files and folders through an ensemble."""
