"""Prefect's server and worker, and what the server of the platform holds."""
