"""What is reported: intersection over union and relative size errors, as fractions."""
