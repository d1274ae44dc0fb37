"""The markets, one module each; `optmarket.registry` finds them by name."""
