"""Azure as such: its clouds, its identities, and its clusters by name."""
