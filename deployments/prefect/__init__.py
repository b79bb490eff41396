"""What a Prefect server needs: work pool, queues, limits, variables, automations."""
