"""Compares distri's J-UNIWARD costs of JPEGs with `conseal`'s.

    python jpeg_costs.py ../../target/release/examples/stego_lab PHOTOGRAPH...

Compresses each photograph, or its middle of 512 × 512 pixels, to grey JPEGs of several qualities; prints
how the logarithms of costs correlate, and how far they are apart: with pixels decoded in floating point on
both sides, and with those of libjpeg, whose integers round some of them the other way. In smooth parts,
where wavelet coefficients are near zero, one pixel makes much of a difference.
"""

import argparse
import pathlib
import subprocess
import tempfile

import conseal
import jpeglib
import numpy as np
import scipy.fft
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


def decoded(dct):
    """Pixels as distri decodes them."""
    blocks = scipy.fft.idctn(dct.Y * dct.qt[0].astype(float), axes=(2, 3), norm="ortho")
    rows, columns = dct.Y.shape[:2]
    pixels = blocks.transpose(0, 2, 1, 3).reshape(8 * rows, 8 * columns)
    return np.clip(np.floor(pixels + 128.5), 0, 255)


def theirs(dct, pixels):
    return conseal.juniward._costmap.compute_cost(
        x0=pixels,
        qt=dct.qt[0],
        implementation=conseal.juniward.Implementation.JUNIWARD_FIX_OFF_BY_ONE,
    )


def compared(expected, found):
    # Coefficients at the end of their range are not priced here.
    priced = np.isfinite(found)
    expected, found = expected[priced], found[priced]
    error = np.abs(found / expected - 1)
    correlation = np.corrcoef(np.log(expected), np.log(found))[0, 1]
    return f"{correlation:.6f} | {np.median(error):.3%} | {np.percentile(error, 99):.2%}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("photographs", type=pathlib.Path, nargs="+")
    arguments = parser.parse_args()
    program = arguments.lab.resolve()
    print("| photograph | quality | pixels | correlation of logarithms | median error | 99 in 100 |")
    print("| --- | ---: | --- | ---: | ---: | ---: |")
    for photograph in arguments.photographs:
        for quality in QUALITIES:
            with tempfile.NamedTemporaryFile(suffix=".jpg") as file:
                middle(photograph).save(file.name, "JPEG", quality=quality)
                dct = jpeglib.read_dct(file.name)
                of_library = jpeglib.read_spatial(file.name).spatial[..., 0].astype(float)
                found = ours(program, file.name, dct.Y.shape)
            for name, pixels in (("floating", decoded(dct)), ("libjpeg", of_library)):
                cells = compared(theirs(dct, pixels), found)
                print(f"| {photograph.stem} | {quality} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
