"""Why an environment runs what it runs, in sentences."""
