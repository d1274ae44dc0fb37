"""Report solutions: console reports, tables, number formats, and output to the terminal."""
