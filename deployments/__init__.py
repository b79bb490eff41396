"""Where the pipeline runs, and what it needs there."""
