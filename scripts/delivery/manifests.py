"""Holds rendered manifests against the schemas of Kubernetes.

    manifests.py MONITORS KIND... <MANIFESTS

Writes ServiceMonitors to the file MONITORS, as their schema is elsewhere. The kinds have to be there, and no other.
"""

import json
import pathlib
import sys

import kubernetes_validate
import yaml

# The oldest version that the chart allows, and the newest of which there are schemas.
VERSIONS = ("1.27", "1.37")


def main():
    monitors, expected = pathlib.Path(sys.argv[1]), set(sys.argv[2:])
    documents = [document for document in yaml.safe_load_all(sys.stdin) if document]
    names = [(document["kind"], document["metadata"]["name"]) for document in documents]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        sys.exit(f"manifests.py: there twice: {doubled}")
    kinds = {kind for kind, _ in names}
    if kinds != expected:
        sys.exit(f"manifests.py: lacks {expected - kinds}, has besides {kinds - expected}")
    too_long = [name for _, name in names if len(name) > 63]
    if too_long:
        sys.exit(f"manifests.py: names are too long: {too_long}")
    with monitors.open("a") as file:
        for document in documents:
            if document["kind"] == "ServiceMonitor":
                file.write(json.dumps(document) + "\n")
                continue
            for version in VERSIONS:
                try:
                    kubernetes_validate.validate(document, version, strict=True)
                except kubernetes_validate.ValidationError as error:
                    where = ".".join(str(part) for part in error.path)
                    sys.exit(f"manifests.py: {document['kind']}, {version}: {where}: {error.message}")
    print(f"{len(documents)} manifests fit Kubernetes {' and '.join(VERSIONS)}")


if __name__ == "__main__":
    main()
