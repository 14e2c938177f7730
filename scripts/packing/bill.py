"""Prints the CycloneDX bill of materials of the programs.

    bill.py METADATA INSIDE LOCK VERSION

The output of `cargo metadata`, `name version` of each crate inside, Cargo.lock, and our version.

The same input gives the same bill. It is checked against CycloneDX's schema before it is printed.
"""

import datetime
import json
import os
import pathlib
import sys
import tomllib
import uuid

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

from licences import inside

# Of serial numbers: a bill is the same document as long as its content is.
NAMESPACE = uuid.UUID("6f1d2d0e-6a63-5c80-9d0c-7f2b6e0c0a54")


def component(package, checksums):
    """A crate."""
    name, version = package["name"], package["version"]
    checksum = checksums.get((name, version))
    licence = package["license"]
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        bom_ref=f"pkg:cargo/{name}@{version}",
        purl=PackageURL("cargo", None, name, version),
        # Older crates write a slash for "or".
        licenses=[LicenseFactory().make_from_string(licence.replace("/", " OR "))] if licence else [],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=checksum)] if checksum else [],
    )


def main():
    metadata = json.loads(pathlib.Path(sys.argv[1]).read_text())
    listed = pathlib.Path(sys.argv[2]).read_text()
    lock = tomllib.loads(pathlib.Path(sys.argv[3]).read_text())
    version = sys.argv[4]
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}
    bom = Bom()
    own = Component(
        type=ComponentType.APPLICATION, name="ropeline", version=version, bom_ref=f"ropeline@{version}"
    )
    bom.metadata.component = own
    found = {package["id"]: component(package, checksums) for package in inside(metadata, listed)}
    for crate in found.values():
        bom.components.add(crate)
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    direct = set()
    for id, node in nodes.items():
        normal = [d["pkg"] for d in node["deps"] if None in {kind["kind"] for kind in d["dep_kinds"]}]
        needed = [found[pkg] for pkg in normal if pkg in found]
        if id in found:
            bom.register_dependency(found[id], needed)
        elif id in metadata["workspace_members"]:
            direct.update(needed)
    bom.register_dependency(own, direct)
    made = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    bom.metadata.timestamp = datetime.datetime.fromtimestamp(made, datetime.timezone.utc)
    names = " ".join(sorted(crate.bom_ref.value for crate in found.values()))
    bom.serial_number = uuid.uuid5(NAMESPACE, f"{version} {names}")
    text = JsonV1Dot6(bom).output_as_string(indent=2)
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(text)
    if problem:
        sys.exit(f"bill.py: the bill is not valid: {problem}")
    print(text)


if __name__ == "__main__":
    main()
