"""A question → a short answer with verified citations, or an honest abstention."""
