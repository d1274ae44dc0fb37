"""Menus of at most a given number of items."""
