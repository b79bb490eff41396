"""What goes into an image, and which image is the latest."""
