"""What one framework computes for a case, written to a file: one worker process a framework."""
