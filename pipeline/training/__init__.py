"""Training: objectives, one loop for all of them, schedule, checkpoints, seeds."""
