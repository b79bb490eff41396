"""What works only inside a Prefect flow run."""
