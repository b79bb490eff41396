"""Where the pipeline runs, and where it releases to."""
