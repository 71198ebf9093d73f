"""Two adapters on the same prompts: who wins, by whose judgement, and how certain that is."""
