"""Prints the licences of all crates that are inside the programs, each text once.

    licences.py METADATA INSIDE    the output of `cargo metadata`, and `name version` of each crate inside
"""

import json
import pathlib
import sys

PREFIXES = ("license", "licence", "copying", "notice", "unlicense")


def inside(metadata, listed):
    """The packages that are inside the programs, without ours. `cargo metadata` alone does not say: it
    also has what only a feature that is off would need."""
    members = set(metadata["workspace_members"])
    names = {tuple(line.split()) for line in listed.splitlines() if line.strip()}
    found = [
        package
        for package in metadata["packages"]
        if package["id"] not in members and (package["name"], package["version"]) in names
    ]
    return sorted(found, key=lambda package: (package["name"], package["version"]))


def texts(package):
    """The licence texts that a package brings."""
    directory = pathlib.Path(package["manifest_path"]).parent
    files = [file for file in directory.iterdir() if file.is_file()]
    named = [file for file in files if file.name.lower().startswith(PREFIXES)]
    return [file.read_text(errors="replace").strip() for file in sorted(named)]


def main():
    metadata = json.loads(pathlib.Path(sys.argv[1]).read_text())
    packages = inside(metadata, pathlib.Path(sys.argv[2]).read_text())
    users = {}
    print("Ropeline is licensed under Apache-2.0. Its programs contain these crates:\n")
    for package in packages:
        name = f"{package['name']} {package['version']}"
        print(f"{name}: {package['license'] or 'see its licence file'}")
        for text in texts(package):
            users.setdefault(text, []).append(name)
    for text, names in sorted(users.items(), key=lambda item: item[1]):
        print("\n" + "-" * 72)
        print("Of " + ", ".join(names) + ":\n")
        print(text)


if __name__ == "__main__":
    main()
