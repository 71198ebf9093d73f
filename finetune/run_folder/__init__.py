"""The run folder: what was trained how, how it went and what came of it, in files that anyone can open."""
