"""One file per DVC stage: read params, call the layer that does the work, write its result. No mathematics here."""
