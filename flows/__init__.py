"""What is run: the pipeline's flows, and the values, decisions and services they stand on."""
