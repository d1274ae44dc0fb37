"""What a market is to the engine, and what markets share."""
