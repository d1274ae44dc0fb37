"""Ways to find the optimal mechanism of several buyers."""
