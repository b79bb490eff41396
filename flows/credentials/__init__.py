"""Where credentials come from: Prefect blocks, or a person's shell."""
