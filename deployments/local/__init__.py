"""The whole platform on one machine: a real registry, blob store, Kubernetes and Prefect server."""
