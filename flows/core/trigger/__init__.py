"""Which run of ci an event asks for, and what runs are labelled with."""
