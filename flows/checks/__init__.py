"""`slipway doctor`: a look at everything that a run will need, before the run does."""
