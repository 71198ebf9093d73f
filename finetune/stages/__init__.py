"""Several trainings in one file, each made of those before it."""
