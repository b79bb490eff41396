"""The application as its users reach it."""
