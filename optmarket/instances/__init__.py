"""Read and validate instance files, vary their parameters, and write templates for new ones."""
