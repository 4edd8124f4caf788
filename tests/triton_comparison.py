"""Prints as JSON how far the fused kernel is from torch: a process of its own, as Triton's interpreter must be chosen first."""

import json

import torch
from solver_scenes import scene

from pipeline.solver.backends import triton_descent
from pipeline.solver.backends.triton_descent import CROSS_ENTROPIES, RELAXATIONS, FusedAdam
from pipeline.solver.descent import start_logits
from pipeline.solver.fast import Level, descend_adaptively, torch_adam
from pipeline.solver.pace import Schedule, rates

triton_descent.PIXELS_AT_ONCE = 32  # several programs per picture


def pieces(neighborhood, batch, *names):
    problem = scene(batch, 3, 6, 7, neighborhood).problem(*names)
    offsets = problem.edges.offsets
    level = Level(problem.log_probs, problem.seeds, problem.pairwise_scale(), offsets, problem.unary_scale, names)
    return level, start_logits(problem.log_probs, problem.seeds)


def distance(cross_entropy, relaxation, state=torch.float32, steps=1, neighborhood="grid4", batch=1):
    """Largest difference of energies (relative) and of labels after some steps."""
    level, start = pieces(neighborhood, batch, cross_entropy, relaxation)
    plain, moved = start.clone(), start.clone()
    schedule = Schedule(rates(steps, 0.3), 1e-2)
    expected, _ = descend_adaptively(torch_adam(level, plain), schedule)
    found, _ = descend_adaptively(FusedAdam(level, moved, state), schedule)
    return [
        float(((found - expected) / expected).abs().max()),
        float((moved.softmax(1) - plain.softmax(1)).abs().max()),
    ]


def at_rest():
    """How far the logits of a moving and of a resting image go in one step."""
    level, start = pieces("grid4", 2, "cce", "q")
    moved = start.clone()
    fused = FusedAdam(level, moved)
    fused.step(0.3, 0.8, 0.95, 1e-2, torch.tensor([True, False]))
    return (moved.softmax(1) - start.softmax(1)).abs().amax((1, 2, 3)).tolist()


if __name__ == "__main__":
    pairs = [("cce", name) for name in RELAXATIONS] + [(name, "q") for name in CROSS_ENTROPIES if name != "cce"]
    results = {f"{first}-{second}": distance(first, second) for first, second in pairs}
    results["several steps"] = distance("cce", "cd", steps=2, neighborhood="grid8", batch=2)
    results["sixteen bits"] = distance("cce", "q", torch.float16, steps=2)
    results["at rest"] = at_rest()
    print(json.dumps(results))
