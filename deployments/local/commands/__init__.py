"""What the command line of the platform does: run, stop, clean, status, variables."""
