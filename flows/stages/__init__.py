"""The stages of the flows as plain functions: a run and values in, a value out.

They know settings and services, not Prefect; `flows.runtime.tasks` gives each its name, retries and time-out.
"""
