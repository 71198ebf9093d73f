"""Is a sentence of an answer supported by the passages: what it claims, where that could stand, and what is wrong with it."""
