"""Which photographs distri takes, and how well it tells JPEGs from others.

    python acceptance.py FOLDER ../../target/release/examples/stego_lab

On whole photographs of FOLDER (see README.md): the share of those that never were JPEG files in which
`stealth` hides what `analyze` recommends, and the share that is taken for a JPEG's; the share of JPEG
photographs, compressed anew at several qualities and then stored as PNG, that is recognised. Writes
WORK/acceptance.json.
"""

import argparse
import io
import json
import pathlib
import tempfile

import numpy as np
from PIL import Image

import ours
from covers import GREY, COLOUR, LEFT_OUT

QUALITIES = (50, 75, 90, 95)


def never_jpeg(folder):
    """Photographs at full size whose pixels never were a JPEG's: not the ones that are halved for that."""
    for place, pattern, reduce, _ in GREY + COLOUR:
        if "wikipedia" in place:
            continue
        for path in sorted((folder / place).glob(pattern)):
            if not any(word in path.name for word in LEFT_OUT):
                yield path, np.asarray(Image.open(path))


def jpegs(folder, most):
    paths = sorted((folder / "BSDS500/BSDS500/data/images").glob("*/*.jpg"))
    for i in np.linspace(0, len(paths) - 1, most).astype(int):
        yield np.asarray(Image.open(paths[i]).convert("RGB").resize((640, 427), Image.LANCZOS))


def analysed(program, pixels):
    with tempfile.NamedTemporaryFile(suffix=".png") as out:
        return ours.lab(program, "analyze", pixels, out.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--jpegs", type=int, default=60)
    arguments = parser.parse_args()
    program = arguments.lab.resolve()

    clean = [(path, analysed(program, pixels)) for path, pixels in never_jpeg(arguments.folder)]
    for path, found in clean:
        if found["jpeg"] or not found["usable"]:
            print(f"{path.parent.name}/{path.name}: {found['refusal']}, {found['warnings']}")
    results = {
        "never a JPEG": len(clean),
        "usable": sum(found["usable"] for _, found in clean),
        "taken for a JPEG": sum(found["jpeg"] for _, found in clean),
    }
    print(results, flush=True)
    photographs = list(jpegs(arguments.folder, arguments.jpegs))
    for quality in QUALITIES:
        told, near = 0, 0
        for pixels in photographs:
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, "JPEG", quality=quality)
            found = analysed(program, np.asarray(Image.open(file)))
            told += found["jpeg"]
            near += found["jpeg_quality"] is not None and abs(found["jpeg_quality"] - quality) <= 3
        results[f"quality {quality}"] = {"of": len(photographs), "told": told, "quality within 3": near}
        print(quality, results[f"quality {quality}"], flush=True)
    (arguments.work / "acceptance.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
