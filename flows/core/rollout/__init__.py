"""How a rollout stands, by one snapshot of the cluster."""
