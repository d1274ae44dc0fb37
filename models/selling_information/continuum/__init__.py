"""A continuum of types: what a menu earns from it, the best menu found, and bounds on any menu."""
