"""The same solvers compiled: twins of code in torch that stands beside this folder, and that tests compare them with.

`numba_fast.solve` is a backend of `solve_fast` for one CPU core, on top of the steps in `numba_descent`;
`triton_descent.FusedAdam` takes each of its steps on CUDA; `numba_cuts` holds the moves of `solve_graph_cut`. All trust what they
get: a `Problem` has checked it. The backends of `solve_fast` say by `knows(cross_entropy, relaxation)` which energies they have
formulas for; others are left to torch.
"""
