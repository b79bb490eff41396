"""What the doctor found: rows, what they say together, and the rules that some of them apply."""
