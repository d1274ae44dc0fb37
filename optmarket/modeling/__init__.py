"""Define the interface between markets and the engine, and the building blocks that markets share."""
