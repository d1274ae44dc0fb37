"""Linear programs: rows on demand, HiGHS, bounds that hold for any dual values, and exact solutions."""
