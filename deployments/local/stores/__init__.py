"""The registry, the blob store and their credentials."""
