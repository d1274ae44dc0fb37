"""Distributions of types: of one number, and of probabilities that sum to one."""
