"""What each command of `python -m deployments.local` does, and what it prints."""
