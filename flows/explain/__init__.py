"""Why an environment runs what it runs."""
