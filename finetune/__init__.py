"""Data → adapters. Its training verbs come with the versions that need them."""
