"""The chat: lines in, turns out, and everything that is remembered of them."""
