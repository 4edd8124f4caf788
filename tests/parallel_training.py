"""Trains a small network on made-up pictures, alone or under torchrun: `python parallel_training.py OUT` (a driver of tests).

The network has no batch normalisation, which sees only a process's own share on CPUs. Writes history and weights to OUT.
"""

import json
import sys
from pathlib import Path

import torch

from pipeline import parallel
from pipeline.conventions import VOID
from pipeline.datasets.synthetic import make_scenes
from pipeline.evaluation.score import score
from pipeline.networks import NETWORKS
from pipeline.training.loop import Settings, train
from pipeline.training.objectives import Objective

SETTINGS = Settings(
    epochs=3,
    batch_size=4,
    learning_rate=0.05,
    head_lr_factor=2.0,
    momentum=0.9,
    weight_decay=1e-4,
    power=0.9,
    validate_every_epochs=1,
)
SELF_LABELING = {
    "cross_entropy": "cce", "relaxation": "cd", "sigma_rgb": 9.0,
    "neighborhood": "grid4", "unary_weight": 0.3, "pairwise_weight": 6.0,
    "sigma_xy_px": 50.0, "landmarks": 16, "entropy_weight": 0.1, "labels": "soft", "solver": {"kind": "gradient", "steps": 5},
}  # fmt: skip
PROPOSALS = {"weight": 0.5, "epsilon": 0.3, "unary_weight": 0.1, "pairwise_weight": 100.0, "every_epochs": 5}
OBJECTIVE = {
    "masks": 0.5,
    "seeds": 1.0,
    "size": {"loss": "forward_kl", "weight": 1.0, "suppression": 0.0},
    "self_labeling": SELF_LABELING,
    "proposals": PROPOSALS,
}
SIDE = 32


class Pictures:
    """Procedural pictures whose number of labelled pixels differs from one to the next."""

    num_classes = 3

    def __init__(self) -> None:
        self.scenes = make_scenes(9, seed=0, class_indices=[1, 2], size_px=(48, 48))
        self.ids = [scene.image_id for scene in self.scenes]

    def image(self, image_id):
        """Return the picture."""
        return self.scenes[self.ids.index(image_id)].image[:SIDE, :SIDE]

    def labels(self, image_id):
        """Return the mask."""
        return self.scenes[self.ids.index(image_id)].labels[:SIDE, :SIDE]

    def sample(self, index, seed):
        """Return what a loader gives for one picture."""
        image_id = self.ids[index]
        image = torch.from_numpy(self.image(image_id)).permute(2, 0, 1).float() / 255
        image = image + 0.05 * torch.rand(image.shape, generator=torch.Generator().manual_seed(seed))
        labels = torch.from_numpy(self.labels(image_id)).long()
        seeds = labels.clone()
        seeds[:, index + 1 :] = VOID
        shares = torch.stack([(labels == label).float().mean() for label in range(self.num_classes)])
        return {
            "image": image.clamp(0, 1),
            "valid": labels != VOID,
            "labels": labels,
            "seeds": seeds,
            "proposals": labels,
            "size_targets": shares / shares.sum(),
        }

    def batches(self, plan):
        """Yield the batches of a plan."""
        for batch in plan:
            samples = [self.sample(index, seed) for index, seed in batch]
            tensors = {name: torch.stack([sample[name] for sample in samples]) for name in samples[0]}
            yield {**tensors, "image_id": [self.ids[index] for index, _ in batch]}


def main() -> None:
    """Train and write."""
    torch.set_num_threads(1)
    pictures = Pictures()
    with parallel.process_group(torch.device("cpu")) as device:
        torch.manual_seed(0)
        network = NETWORKS["small_segmenter"](pictures.num_classes, width=16, drop_path=0.0, weights=None)
        state = train(
            network,
            pictures.batches,
            len(pictures.ids),
            Objective(OBJECTIVE),
            SETTINGS,
            seed=1,
            device=device,
            validate=lambda network: {"mIoU_val": score(network, pictures, resize_px=None, device=device).mean_iou},
            show_progress=False,
        )
        if parallel.rank() == 0:
            weights = {name: value.tolist() for name, value in network.state_dict().items()}
            content = {"processes": parallel.world_size(), "history": state.history, "weights": weights}
            Path(sys.argv[1]).write_text(json.dumps(content))


if __name__ == "__main__":
    main()
