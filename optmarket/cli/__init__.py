"""Implement the command line `optmarket`."""
