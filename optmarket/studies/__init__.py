"""Many solves at once: sweeps, curves, the instance library, mechanism files."""
