"""`make why`: why an environment runs what it runs."""
