"""Ways to write a mechanism for several buyers."""
