"""Virtual values, their sums, and the optimum of a continuum of values."""
