"""A follow-up question → a self-contained one, by rule or by the model."""
