"""Values → text or JSON (pure), and the two streams that it is printed on."""
