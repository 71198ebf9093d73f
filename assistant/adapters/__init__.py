"""Adapters: what a folder of one must say of itself."""
