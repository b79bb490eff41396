"""The duel: a candidate and what is live answer the same labelled examples; which of them is better."""
