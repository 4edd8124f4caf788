"""Prints as JSON how far the fused kernel is from torch: a process of its own, as Triton's interpreter must be chosen first."""

import json

import torch
from solver_scenes import scene

from pipeline.crf.affinity import without_seed_edges
from pipeline.losses.cross_entropy import CROSS_ENTROPIES
from pipeline.losses.relaxations import RELAXATIONS
from pipeline.solver import triton_kernel
from pipeline.solver.descent import Descent, grid_term, start_logits
from pipeline.solver.fast import TorchAdam, descend_adaptively
from pipeline.solver.pace import rates
from pipeline.solver.solution import free_pixels
from pipeline.solver.triton_kernel import FusedAdam

triton_kernel.PIXELS_AT_ONCE = 32  # several programs per picture


def pieces(neighborhood, batch):
    problem = scene(batch, 3, 6, 7, neighborhood)
    edges = 6.0 * without_seed_edges(problem.affinity, problem.seeds, problem.offsets)
    scale = 0.3 * free_pixels(problem.seeds, problem.valid).float().unsqueeze(1)
    return problem, edges, scale, start_logits(problem.log_probs, problem.seeds)


def distance(cross_entropy, relaxation, state=torch.float32, steps=1, neighborhood="grid4", batch=1):
    """Largest difference of energies (relative) and of labels after some steps."""
    problem, edges, scale, start = pieces(neighborhood, batch)
    descent = Descent(problem.log_probs, scale, cross_entropy, grid_term(edges, problem.offsets, relaxation))
    plain, moved = start.clone(), start.clone()
    expected, _ = descend_adaptively(TorchAdam(descent, plain), rates(steps, 0.3), 1e-2, 0.0)
    fused = FusedAdam(problem.log_probs, moved, scale, edges, problem.offsets, cross_entropy, relaxation, state)
    found, _ = descend_adaptively(fused, rates(steps, 0.3), 1e-2, 0.0)
    return [
        float(((found - expected) / expected).abs().max()),
        float((moved.softmax(1) - plain.softmax(1)).abs().max()),
    ]


def at_rest():
    """How far the logits of a moving and of a resting image go in one step."""
    problem, edges, scale, start = pieces("grid4", 2)
    moved = start.clone()
    fused = FusedAdam(problem.log_probs, moved, scale, edges, problem.offsets, "cce", "q")
    fused.step(0.3, 0.8, 0.95, 1e-2, torch.tensor([True, False]))
    return (moved.softmax(1) - start.softmax(1)).abs().amax((1, 2, 3)).tolist()


if __name__ == "__main__":
    pairs = [("cce", name) for name in RELAXATIONS] + [(name, "q") for name in CROSS_ENTROPIES if name != "cce"]
    results = {f"{first}-{second}": distance(first, second) for first, second in pairs}
    results["several steps"] = distance("cce", "cd", steps=2, neighborhood="grid8", batch=2)
    results["sixteen bits"] = distance("cce", "q", torch.float16, steps=2)
    results["at rest"] = at_rest()
    print(json.dumps(results))
