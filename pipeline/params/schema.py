"""The JSON schema of params.yaml that editors use."""

from __future__ import annotations

import json
import re
from pathlib import Path

from pipeline.expand import BASE, LEVELS
from pipeline.params.whole import RUNS, Params

SCHEMA = Path(__file__).parent.with_name("params.schema.json")


def json_schema() -> str:
    """Return the JSON schema of params.yaml as it is written, as committed beside this module.

    Runs stand elsewhere, blocks may leave out what their base says, and lists of levels stand in place of one value.
    """
    schema = Params.model_json_schema()
    known, properties = schema["$defs"], schema["properties"]
    del properties[RUNS], known["Run"]
    schema["required"].remove(RUNS)
    for block in ("Training", "Size", "Barrier", "DenseCrf", "SelfLabeling"):  # changes of a base, which is whole
        known[f"Whole{block}"] = dict(known[block])
        del known[block]["required"]
    properties["training"] |= {"properties": {BASE: {"$ref": "#/$defs/WholeTraining"}}, "required": [BASE]}
    # `terms` is what objectives are changes of: its references, which end with these names, lead to whole blocks.
    known["Terms"] = json.loads(re.sub(r"(Size|Barrier|DenseCrf|SelfLabeling)\"", r'Whole\1"', json.dumps(known["Terms"])))
    several = [{"const": LEVELS}, {"type": "array", "items": {"type": "number"}}]
    for block, name in (("Seeds", "length_ratio"), ("SizeTargets", "mre"), ("ClassLabels", "corrupted")):
        value = known[block]["properties"][name]
        known[block]["properties"][name] = {"description": value["description"], "anyOf": [value, *several]}
    # Names in braces are keys of `supervision`, and of its entries.
    properties["supervision"] = {
        "description": properties["supervision"]["description"],
        "additionalProperties": {"$ref": "#/$defs/Supervision"},
        "type": "object",
    }
    known["Supervision"] |= {"additionalProperties": {"type": "array"}}
    data_set = known["Supervision"]["properties"]["dataset"]
    known["Supervision"]["properties"]["dataset"] = {"description": data_set["description"], "type": ["string", "array"]}
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"
