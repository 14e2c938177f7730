"""Reads dashboards as Grafana's own library does: every field has to be one that it knows, and to come back as it was.

    dashboards.py FILE...
"""

import json
import pathlib
import sys

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard


def lost(before, after, where=""):
    """What a dashboard says, and the library does not give back."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            problem
            for name, value in before.items()
            if value is not None
            for problem in lost(value, after.get(name), f"{where}.{name}")
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after))
        return [problem for index, (a, b) in pairs for problem in lost(a, b, f"{where}[{index}]")]
    return [] if before == after else [f"{where}: {before!r} became {after!r}"]


def main():
    register_default_plugins()
    uids = set()
    for name in sys.argv[1:]:
        before = json.loads(pathlib.Path(name).read_text())
        after = json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(before)))
        problems = lost(before, after)
        if problems:
            sys.exit(f"dashboards.py: {name}:\n" + "\n".join(problems))
        ids = [panel["id"] for panel in before["panels"]]
        if len(set(ids)) != len(ids) or before["uid"] in uids:
            sys.exit(f"dashboards.py: {name}: an id is there twice")
        uids.add(before["uid"])
    print(f"{len(uids)} dashboards are read by Grafana's own library")


if __name__ == "__main__":
    main()
