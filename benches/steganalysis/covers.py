"""Cuts tiles for the experiments out of photographs that were never JPEG files at that size.

`python covers.py FOLDER` reads the checkouts that README.md names and writes `grey.npz` and
`colour.npz` (tiles of 256 × 256, the photograph each is from, the set), `large.npz` (grey ones of
512 × 512, to be made JPEGs) and `jpeg.npz` (tiles of JPEG photographs, on the 8 × 8 grid, for the test
of compatibility).
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

SIDE = 256

# Reduced by two or more, until the longer side has 2,000 samples or fewer.
AT_MOST = None

# Folder, pattern, reduced by, tiles at most of a photograph. Halving by a box filter takes away
# the traces of JPEG (Wikipedia's photographs are JPEG-born) and of demosaicking alike.
GREY = [
    ("images/kodak", "*.png", 1, 2),
    ("images/imagecompression.info/gray8bit", "*.png", 2, 4),
    ("images/wikipedia-photos", "*.png", 2, 2),
    ("images/usc_sipi/aerials", "2.1.*.png", 1, 2),
    ("images/usc_sipi/aerials", "2.2.*.png", 2, 2),
    ("sealwatch/test/assets/cover/uncompressed_gray", "*.png", 1, 2),
    ("aletheia/sample_images/bossbase", "[0-9]*.png", 1, 2),
]
COLOUR = [
    ("images/kodak", "*.png", 1, 2),
    ("images/imagecompression.info/rgb8bit", "*.png", 2, 4),
    ("images/wikipedia-photos", "*.png", 2, 2),
    ("images/usc_sipi/aerials", "2.1.*.png", 1, 2),
    ("images/usc_sipi/aerials", "2.2.*.png", 2, 2),
    ("sealwatch/test/assets/cover/uncompressed_color", "*.png", 1, 2),
    # JPEG-born all of them, so at least halved: to 2,000 samples a side at most.
    ("SelfExSR/data/Urban100/image_SRF_4", "*_HR.png", 2, 2),
    ("SelfExSR/data/Sun-Hays80/image_SRF_8", "*_HR.png", 2, 2),
    ("wallpapers/elementary", "*.jpg", AT_MOST, 4),
    ("wallpapers/pop", "*.jpg", AT_MOST, 4),
    ("wallpapers/debian", "**/*.jpg", AT_MOST, 4),
]
JPEG = [("BSDS500/BSDS500/data/images", "*/*.jpg", 1, 1)]
# In grey, to be compressed: everything of which there are so large tiles.
LARGE = [(place, pattern, reduce, 2) for place, pattern, reduce, _ in COLOUR]
LARGE += [("aletheia/sample_images/bossbase", "[0-9]*.png", 1, 2)]
LARGE_SIDE = 512

# Not photographs, or stego images already.
LEFT_OUT = ("artificial", "zone_plate", "_hill") + (
    # Of the wallpapers, what is drawn, rendered or put together.
    "ARTcast", "Ashim DSilva Night", "Bokeh Glow", "Cold Peak", "Elephants", "Glow", "GreenTrad",
    "Lake McDonald", "Low Poly", "Mesh Gradient", "Our Night", "Relax", "Somewhere Far",
    "Star River", "Tiny World", "Urban Dream", "analogpattern", "elegantair", "sebastien-gabriel", "umang",
)  # fmt: skip

# Wallpapers come in versions: photographs whose thumbnails correlate more than this are one.
SAME = 0.84


def tiles_of(image, most, side):
    """Up to `most` tiles, spread evenly over the grid of whole tiles."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    places = [(y, x) for y in range(rows) for x in range(columns)]
    if len(places) > most:
        places = [places[i] for i in np.linspace(0, len(places) - 1, most).round().astype(int)]
    for y, x in places:
        yield image[y * side : (y + 1) * side, x * side : (x + 1) * side]


def poor(tile):
    """Flat, burnt out, or stretched after it was digitised, so that gaps in its histogram tell."""
    grey = tile if tile.ndim == 2 else tile[..., 1]
    counts = np.bincount(grey.ravel(), minlength=256)
    low, high = np.percentile(grey, [1, 99]).astype(int)
    within = counts[low : high + 1]
    saturated = (counts[0] + counts[255]) / grey.size
    return grey.std() < 4 or saturated > 0.1 or (len(within) > 16 and (within == 0).mean() > 0.1)


def thumbnail(image):
    """What a photograph looks like from afar, of mean 0 and length 1."""
    small = np.asarray(image.convert("L").resize((24, 24), Image.Resampling.BOX), dtype=float)
    small -= small.mean()
    return (small / max(np.sqrt((small**2).sum()), 1e-9)).ravel()


def pictures(folder, sources, mode):
    """Where each photograph is from, the photograph, reduced, and the tiles that are wanted of it at most."""
    seen = []
    for place, pattern, reduce, most in sources:
        for path in sorted((folder / place).glob(pattern)):
            if any(word in path.name for word in LEFT_OUT):
                continue
            image = Image.open(path).convert(mode)
            if reduce is AT_MOST:
                look = thumbnail(image)
                if any(look @ other > SAME for other in seen):
                    continue
                seen.append(look)
            by = reduce or max(2, -(-max(image.size) // 2000))
            yield place, image.reduce(by) if by > 1 else image, most


def cut(folder, sources, mode, side=SIDE):
    tiles, photographs, sets, number, poor_ones = [], [], [], 0, 0
    for place, image, most in pictures(folder, sources, mode):
        found = list(tiles_of(np.asarray(image), most, side))
        good = [tile for tile in found if not poor(tile)]
        poor_ones += len(found) - len(good)
        if good:
            tiles += good
            photographs += [number] * len(good)
            sets += [place.split("/")[1]] * len(good)
            number += 1
    print(f"{len(tiles)} tiles of {number} photographs, {poor_ones} poor ones left out")
    return {
        "tiles": np.array(tiles, dtype=np.uint8),
        "photographs": np.array(photographs),
        "sets": np.array(sets),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="where the checkouts are")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    for name, sources, mode, side in (
        ("grey", GREY, "L", SIDE),
        ("colour", COLOUR, "RGB", SIDE),
        ("large", LARGE, "L", LARGE_SIDE),
        ("jpeg", JPEG, "L", SIDE),
    ):
        print(f"{name}: ", end="")
        found = cut(arguments.folder, sources, mode, side)
        np.savez_compressed(arguments.work / f"{name}.npz", **found)


if __name__ == "__main__":
    main()
