"""English, as far as questions and sentences need it: word lists, and what reads them (pure)."""
