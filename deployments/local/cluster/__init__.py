"""The embedded Kubernetes cluster: two nodes in containers."""
