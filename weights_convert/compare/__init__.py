"""Proof that frameworks compute one network: node by node, step by step."""
