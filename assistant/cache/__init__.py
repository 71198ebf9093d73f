"""Past answers that come back: only where they are still right."""
