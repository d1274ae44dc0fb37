"""Solutions for people: pages, tables, digits, and the streams they go to."""
