"""Build linear programs, solve them with HiGHS and constraint generation, and certify their optimal values."""
