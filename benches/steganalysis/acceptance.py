"""Which photographs distri takes, and how well it tells JPEGs from others.

    python acceptance.py FOLDER ../../target/release/examples/stego_lab

On whole photographs of FOLDER (see README.md): the share of those that never were JPEG files in which
`stealth` hides what `analyze` recommends, and the share that is taken for a JPEG's; the share of JPEG
photographs, compressed anew at several qualities and then stored as PNG, that is recognised. Writes
WORK/acceptance.json.

With `--large` it is all photographs of a megapixel and more instead, those that were JPEG files once
halved or more: how many are taken for a JPEG's as they are, and how many are recognised when they are
compressed. Writes WORK/acceptance-large.json.
"""

import argparse
import io
import json
import pathlib
import tempfile

import numpy as np
from PIL import Image

import ours
from covers import AT_MOST, COLOUR, GREY, LEFT_OUT, pictures

QUALITIES = (50, 75, 90, 95)


def never_jpeg(folder):
    """Photographs at full size whose pixels never were a JPEG's: not the ones that are halved for that."""
    for place, pattern, reduce, _ in GREY + COLOUR:
        if "wikipedia" in place or "SelfExSR" in place or reduce is AT_MOST:
            continue
        for path in sorted((folder / place).glob(pattern)):
            if not any(word in path.name for word in LEFT_OUT):
                yield path, np.asarray(Image.open(path))


def jpegs(folder, most):
    paths = sorted((folder / "BSDS500/BSDS500/data/images").glob("*/*.jpg"))
    for i in np.linspace(0, len(paths) - 1, most).astype(int):
        yield np.asarray(Image.open(paths[i]).convert("RGB").resize((640, 427), Image.LANCZOS))


# Their size as they are, since at that size they never were JPEG files.
WHOLE = [
    ("images/imagecompression.info/gray8bit", "*.png", 1, 0),
    ("images/imagecompression.info/rgb8bit", "*.png", 1, 0),
    ("images/usc_sipi/aerials", "2.2.*.png", 1, 0),
]
HALVED = [source for source in COLOUR if source[2] is AT_MOST]
MEGAPIXEL = 1_000_000


def large(folder):
    """Photographs of a megapixel and more, in colour if they have any, and whether they were halved."""
    for place, image, _ in pictures(folder, WHOLE + HALVED, "RGB"):
        if image.width * image.height >= MEGAPIXEL:
            pixels = np.asarray(image)
            grey = (pixels == pixels[..., :1]).all()
            yield pixels[..., 0] if grey else pixels, "wallpapers" in place


def compressed(pixels, quality):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file))


def of_large(program, folder):
    """How many of the large photographs are told to be JPEGs', as they are and compressed."""
    results = {}
    for pixels, halved in large(folder):
        kind = "halved" if halved else "never a JPEG"
        for quality in (None, *QUALITIES):
            found = analysed(program, pixels if quality is None else compressed(pixels, quality))
            cell = results.setdefault(f"{kind}, {quality or 'as it is'}", {"of": 0, "told": 0, "usable": 0})
            cell["of"] += 1
            cell["told"] += found["jpeg"]
            cell["usable"] += found["usable"]
            if found["jpeg"] != (quality is not None):
                print(f"{kind} {cell['of']} {pixels.shape}, {quality}: {found}", flush=True)
    return results


def analysed(program, pixels):
    with tempfile.NamedTemporaryFile(suffix=".png") as out:
        return ours.lab(program, "analyze", pixels, out.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--jpegs", type=int, default=60)
    parser.add_argument("--large", action="store_true")
    arguments = parser.parse_args()
    program = arguments.lab.resolve()

    if arguments.large:
        results = of_large(program, arguments.folder)
        print(json.dumps(results, indent=1))
        (arguments.work / "acceptance-large.json").write_text(json.dumps(results, indent=1))
        return

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
            found = analysed(program, compressed(pixels, quality))
            told += found["jpeg"]
            near += found["jpeg_quality"] is not None and abs(found["jpeg_quality"] - quality) <= 3
        results[f"quality {quality}"] = {"of": len(photographs), "told": told, "quality within 3": near}
        print(quality, results[f"quality {quality}"], flush=True)
    (arguments.work / "acceptance.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
