"""Full training of the members of a suite."""
