"""Many stages at a time, on one machine or a cluster; see `python -m pipeline.launch --help` and docs/cluster.md.

`plan` asks DVC what is stale, `schedule` decides what may start, `head` runs stages in this repository, `clones` sends them to
workers that run them in clones (`worker`), reached through Ray (`ray_cluster`) or Slurm (`slurm_cluster`).
"""
