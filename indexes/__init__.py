"""Documents → a searchable index. Imports neither of the other packages."""
