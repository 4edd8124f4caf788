"""Check params.yaml, or rewrite its JSON schema: `python -m pipeline.params`."""

from __future__ import annotations

from pipeline import paths
from pipeline.command import command_parser
from pipeline.params.families import left_out, out_of_date
from pipeline.params.own import own_settings
from pipeline.params.reading import load_params
from pipeline.params.schema import SCHEMA, json_schema
from pipeline.params.section import ParamsError


def main() -> None:
    """Check params.yaml and the families of runs, or rewrite the JSON schema."""
    parser = command_parser(main.__doc__, "pipeline.params --schema")
    parser.add_argument("--schema", action="store_true", help=f"rewrite {SCHEMA.name} from the models")
    if parser.parse_args().schema:
        SCHEMA.write_text(json_schema(), encoding="utf-8")
        return
    try:
        params = load_params()
        own_settings()
        stale = out_of_date(params)
    except ParamsError as error:
        raise SystemExit(str(error)) from None
    if stale:
        raise SystemExit(f"{', '.join(stale)}: the pipelines are out of date with their runs; run python -m pipeline.wiring")
    for line in filter(None, left_out(params).values()):
        print(line)
    count = sum(len(runs) for runs in params.runs.values())
    families = sum(map(bool, params.runs.values()))
    print(f"{paths.PARAMS} is valid: profile {params.profile}, {count} runs in {families} families")


if __name__ == "__main__":
    main()
