"""What a cluster needs once, made by its administrator."""
