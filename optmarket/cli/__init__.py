"""The command `optmarket`."""
