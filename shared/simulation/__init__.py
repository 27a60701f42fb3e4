"""A simulated camera: LR/HR pairs from clean photographs."""
