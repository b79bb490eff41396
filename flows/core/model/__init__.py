"""A model and its manifest."""
