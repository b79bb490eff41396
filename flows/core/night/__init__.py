"""Which run releases a night, and what became of it."""
