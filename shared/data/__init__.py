"""Image files, LR/HR pairs, packs and the seeded patch sampler."""
