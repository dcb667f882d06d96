"""python oci_module.py LAYOUT FILE: takes the module out of an OCI image layout, as Istio's agent does with an image, and writes it to FILE.

Every digest and every size is checked on the way. Prints the manifest's digest as JSON.
"""

import gzip
import hashlib
import io
import json
import pathlib
import sys
import tarfile


def only(items):
    (item,) = items
    return item


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    layout, target = map(pathlib.Path, sys.argv[1:])

    def blob(descriptor, media_type):
        assert descriptor["mediaType"] == f"application/vnd.oci.image.{media_type}", descriptor
        algorithm, digest = descriptor["digest"].split(":")
        content = (layout / "blobs" / algorithm / digest).read_bytes()
        assert algorithm == "sha256" and hashlib.sha256(content).hexdigest() == digest, descriptor
        assert len(content) == descriptor["size"], descriptor
        return content

    assert json.loads((layout / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    reference = only(json.loads((layout / "index.json").read_text())["manifests"])
    manifest = json.loads(blob(reference, "manifest.v1+json"))
    config = json.loads(blob(manifest["config"], "config.v1+json"))
    archive = gzip.decompress(blob(only(manifest["layers"]), "layer.v1.tar+gzip"))
    assert config["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(archive).hexdigest()}"], config
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        target.write_bytes(files.extractfile("plugin.wasm").read())
    print(json.dumps({"digest": reference["digest"]}))


main()
