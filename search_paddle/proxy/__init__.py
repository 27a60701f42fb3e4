"""One short training of a proposal on Paddle, and its score. Runs in a worker process."""
