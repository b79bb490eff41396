"""The stages from a trained model's files to a version in the store that CI takes up."""
