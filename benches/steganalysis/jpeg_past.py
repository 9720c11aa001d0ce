"""The test of compatibility: are these still the pixels that a JPEG decodes to?

    python jpeg_past.py ../../target/release/examples/stego_lab

Compresses the picture again at the known quality and counts blocks of 8 × 8 that do not come back
(Fridrich, Goljan, Du 2001, in its simplest form). Covers are the tiles in `jpeg.npz` as JPEG
decodes them, and changes are made in place, as `stego_lab` does. By default the service resamples a
JPEG instead; that this takes away what the test holds on to is not measured here.
"""

import argparse
import io
import json
import pathlib
import tempfile

import numpy as np
from PIL import Image

import ours

QUALITIES = (75, 90, 95)
# Headers and seals alone are 0.017 of such a tile.
RATES = (0.02, 0.05)


def compressed(pixels, quality):
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=quality)
    return out.getvalue()


def decoded(file):
    return np.asarray(Image.open(io.BytesIO(file)).convert("L"))


def strange_blocks(pixels, quality):
    """The share of blocks that compressing again does not give back."""
    pixels = pixels[: pixels.shape[0] // 8 * 8, : pixels.shape[1] // 8 * 8]
    again = decoded(compressed(pixels, quality))
    height, width = pixels.shape
    differs = (again != pixels).reshape(height // 8, 8, width // 8, 8)
    return differs.any(axis=(1, 3)).mean()


def area(negatives, positives):
    order = np.subtract.outer(np.array(positives), np.array(negatives))
    return float((order > 0).mean() + (order == 0).mean() / 2)


def hidden(program, pixels, rate, seed):
    """Distri's stego pixels for a picture that was a JPEG and is used as it is."""
    # As a PNG, so that both sides have the pixels of one decoder: decoders round differently.
    with tempfile.NamedTemporaryFile(suffix=".png") as out:
        ours.embed(program, "adaptive", pixels, out.name, rate, seed)
        return np.asarray(Image.open(out.name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--tiles", type=int, default=100)
    arguments = parser.parse_args()
    program = arguments.lab.resolve()
    tiles = np.load(arguments.work / "jpeg.npz")["tiles"][: arguments.tiles]
    results = {"tiles": len(tiles)}
    print("| quality | bits per sample | area under the ROC | strange blocks: cover, stego |")
    print("| --- | ---: | ---: | ---: |")
    for quality in QUALITIES:
        covers = [decoded(compressed(tile, quality)) for tile in tiles]
        clean = [strange_blocks(cover, quality) for cover in covers]
        for rate in RATES:
            changed = [
                strange_blocks(hidden(program, cover, rate, seed), quality)
                for seed, cover in enumerate(covers)
            ]
            cells = {
                "area": area(clean, changed),
                "strange": [float(np.mean(clean)), float(np.mean(changed))],
            }
            results[f"{quality}/{rate}"] = cells
            strange = ", ".join(f"{share:.1%}" for share in cells["strange"])
            print(f"| {quality} | {rate} | {cells['area']:.3f} | {strange} |", flush=True)
    (arguments.work / "jpeg.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
