"""Compares distri's J-UNIWARD costs of JPEGs with `conseal`'s.

    python jpeg_costs.py ../../target/release/examples/stego_lab PHOTOGRAPH...

Compresses each photograph, or its middle of 512 × 512 pixels, to grey JPEGs of several qualities; prints
how the logarithms of costs correlate, and how far they are apart.
"""

import argparse
import pathlib
import subprocess
import tempfile
import time

import conseal
import jpeglib
import numpy as np
from PIL import Image

QUALITIES = (50, 75, 90, 95)


def middle(path):
    image = Image.open(path).convert("L")
    width, height = (min(512, side) // 8 * 8 for side in image.size)
    left, top = (image.size[0] - width) // 2, (image.size[1] - height) // 2
    return image.crop((left, top, left + width, top + height))


def ours(program, path, shape):
    with tempfile.NamedTemporaryFile(suffix=".f32") as out:
        subprocess.run([program, "jpeg-costs", path, out.name], check=True, capture_output=True)
        return np.fromfile(out.name, dtype="<f4").reshape(shape).astype(float)


def theirs(path):
    dct, spatial = jpeglib.read_dct(path), jpeglib.read_spatial(path)
    return conseal.juniward._costmap.compute_cost(
        x0=spatial.spatial[..., 0].astype(float),
        qt=dct.qt[0],
        implementation=conseal.juniward.Implementation.JUNIWARD_FIX_OFF_BY_ONE,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("photographs", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    program = arguments.lab.resolve()
    print("| photograph | quality | correlation of logarithms | median error | largest | conseal, s |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for photograph in arguments.photographs:
        for quality in QUALITIES:
            with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
                middle(photograph).save(file.name, "JPEG", quality=quality)
                start = time.process_time()
                expected = theirs(file.name)
                took = time.process_time() - start
                found = ours(program, file.name, expected.shape)
            # Coefficients at the end of their range are not priced here.
            priced = np.isfinite(found)
            expected, found = expected[priced], found[priced]
            error = np.abs(found / expected - 1)
            correlation = np.corrcoef(np.log(expected), np.log(found))[0, 1]
            print(
                f"| {photograph.stem} | {quality} | {correlation:.6f} | {np.median(error):.4%} "
                f"| {error.max():.2%} | {took:.1f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
