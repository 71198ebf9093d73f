"""Training data: files → rows, and all that is wrong with them, with file and line."""
