"""Who is whose neighbour, and the pairwise energies on it."""
