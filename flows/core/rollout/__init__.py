"""The state of a rollout, judged from one snapshot of the cluster."""
