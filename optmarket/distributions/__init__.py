"""Represent distributions of types: of one number, and of several probabilities that sum to one."""
