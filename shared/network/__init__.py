"""One definition of each network: primitives, families, and what is read off a graph without a framework."""
