"""Run studies of many solves: sweeps of parameters, and the reproduction of the instance library."""
