"""Put a scale into params.yaml: `python -m pipeline.profile paper`, and `embedded` to come back.

A profile is an overlay in pipeline/profiles. First the values of `embedded` are put into params.yaml, then those of the profile
asked for; what neither names stays, and so do comments. Every value is then visible, tracked and open to `dvc exp run -S`.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import paths
from pipeline.files import write_atomically
from pipeline.params import load_params
from pipeline.stages.common import clear_errors

PROFILES = Path(__file__).with_name("profiles")


def overlay(base: MutableMapping[str, Any], changes: MutableMapping[str, Any]) -> None:
    """Merge `changes` into `base` in place, mappings key by key."""
    for key, value in changes.items():
        if isinstance(value, MutableMapping) and isinstance(base.get(key), MutableMapping):
            overlay(base[key], value)
        else:
            base[key] = value


def main() -> None:
    """Run the command line."""
    names = sorted(path.stem for path in PROFILES.glob("*.yaml"))
    parser = argparse.ArgumentParser(prog="python -m pipeline.profile", description=__doc__)
    parser.add_argument("name", choices=names, help="which scale")
    name = parser.parse_args().name
    with clear_errors():
        yaml = YAML()
        yaml.width = 4096
        yaml.representer.add_representer(type(None), lambda writer, _: writer.represent_scalar("tag:yaml.org,2002:null", "null"))
        base = yaml.load(paths.PARAMS.read_text(encoding="utf-8"))
        for profile in dict.fromkeys(["embedded", name]):
            overlay(base, yaml.load((PROFILES / f"{profile}.yaml").read_text(encoding="utf-8")))
        text = io.StringIO()
        yaml.dump(base, text)
        trial = paths.SCRATCH / "params.yaml"
        write_atomically(trial, text.getvalue().encode())
        load_params(trial)
        write_atomically(paths.PARAMS, text.getvalue().encode())
        print(f"{paths.PARAMS} now holds the profile {name}")


if __name__ == "__main__":
    main()
