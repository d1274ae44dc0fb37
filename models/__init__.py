"""The markets, one package each; `optmarket.modeling.registry` finds them by name."""
