"""A model that learns from its own judgement, round after round, with brakes."""
