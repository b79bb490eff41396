"""The sample model, and the first release of the application."""
