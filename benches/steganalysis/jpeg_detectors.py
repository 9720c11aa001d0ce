"""Detectors of hiding in the coefficients of JPEGs: DCTR and GFR, fast enough for many of them.

Both are histograms of what filters of 8 × 8 leave of the decoded pixels, by place in the grid of blocks
(Holub, Fridrich, IEEE TIFS 10, 2015; Song, Liu, Yang, Luo, Zhang, IH&MMSec 2015). Filters, steps, rounding
and folding are `sealwatch`'s; its loop over filters is replaced by a compiled one.
`python jpeg_detectors.py JPEG…` compares both with the originals.
"""

import numba
import numpy as np

import detectors  # noqa: F401  (imports sealwatch without torch)
from sealwatch import dctr as _dctr
from sealwatch import gfr as _gfr
from sealwatch import tools

TOP = 4
FOLDED = _dctr._dctr.get_symmetric_histogram_coordinates()

ROTATIONS = 32
SIGMAS = (0.5, 0.75, 1, 1.25)
# By quality: `sealwatch` knows no others.
GFR_STEPS = {75: (2, 4, 6, 8), 95: (0.1, 1, 1.5, 2)}


@numba.njit(cache=True, fastmath={"contract"})
def _counted(image, kernels, steps, top):
    """How often each filter gives 0, 1, … `top` steps or more, by row and column modulo 8."""
    height, width = image.shape[0] - 7, image.shape[1] - 7
    counts = np.zeros((len(kernels), 8, 8, top + 1), dtype=np.int64)
    sums = np.empty(width)
    for k in range(len(kernels)):
        step = steps[k]
        for y in range(height):
            sums[:] = 0
            for a in range(8):
                row = image[y + a]
                w = kernels[k, a]
                w0, w1, w2, w3, w4, w5, w6, w7 = w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7]
                for x in range(width):
                    sums[x] += (
                        w0 * row[x]
                        + w1 * row[x + 1]
                        + w2 * row[x + 2]
                        + w3 * row[x + 3]
                        + w4 * row[x + 4]
                        + w5 * row[x + 5]
                        + w6 * row[x + 6]
                        + w7 * row[x + 7]
                    )
            for x in range(width):
                # Half away from zero, with the tolerance that `numpy.isclose` has around a half.
                size = min(np.floor(abs(sums[x]) / step + 0.5 + 5.01e-6), top)
                counts[k, y % 8, x % 8, int(size)] += 1
    return counts


def _histograms(pixels, kernels, steps):
    # A convolution turns its kernel over.
    turned = np.ascontiguousarray(kernels[:, ::-1, ::-1], dtype=float)
    counts = _counted(np.ascontiguousarray(pixels, dtype=float), turned, np.asarray(steps, float), TOP)
    folded = [sum(counts[:, y, x] for y, x in places) for places in FOLDED]
    folded = np.stack(folded, axis=1)
    return folded / folded.sum(axis=2, keepdims=True)


def _decoded(coefficients, table):
    """Pixels without rounding."""
    return tools.jpeg.decompress(coefficients, qt=table)


def _dctr_step(quality):
    return max(8 * (2 - quality / 50), 0.2)


def dctr(coefficients, table, quality):
    """8,000 features."""
    rows = tools.dct.compute_dct_mat()
    kernels = np.array([np.outer(a, b) for a in rows for b in rows])
    pixels = _decoded(coefficients, table) - 128
    return _histograms(pixels, kernels, [_dctr_step(quality)] * 64).ravel().astype(np.float32)


def _gabor():
    kernels, scales = [], []
    for phase in (0, np.pi / 2):
        for scale, sigma in enumerate(SIGMAS):
            for rotation in range(ROTATIONS):
                angle = rotation * np.pi / ROTATIONS
                kernels.append(_gfr._gfr.compute_gabor_kernel(sigma, angle, phase, 0.5))
                scales.append(scale)
    return np.array(kernels), scales


GABOR = _gabor()


def gfr(coefficients, table, quality):
    """17,000 features, at the qualities 75 and 95."""
    kernels, scales = GABOR
    steps = [GFR_STEPS[quality][scale] for scale in scales]
    found = _histograms(_decoded(coefficients, table), kernels, steps)
    found = found.reshape(2, len(SIGMAS), ROTATIONS, len(FOLDED), TOP + 1)
    # A rotation and its mirror image count as one.
    half = ROTATIONS // 2
    between = np.arange(1, half)
    mirrored = (found[:, :, between] + found[:, :, -between]) / 2
    merged = [found[:, :, :1], mirrored, found[:, :, half : half + 1]]
    return np.concatenate(merged, axis=2).ravel().astype(np.float32)


def _check(path):
    import time

    import jpeglib

    jpeg = jpeglib.read_dct(str(path))
    table = jpeg.qt[0]
    quality = min((75, 95), key=lambda q: abs(tools.jpeg.qf_to_qt(q)[0].astype(int) - table).sum())
    originals = {
        "DCTR": (dctr, lambda: _dctr.extract_from_file(path, qf=quality)),
        "GFR": (gfr, lambda: _gfr.extract_from_file(path, qf=quality)),
    }
    for name, (ours, theirs) in originals.items():
        start = time.perf_counter()
        expected = theirs()
        middle = time.perf_counter()
        if name == "DCTR":
            expected = np.concatenate([expected[f"{k}_{h}"] for k in range(64) for h in range(len(FOLDED))])
        expected = np.ravel(expected)
        ours(jpeg.Y, table, quality)
        compiled = time.perf_counter()
        found = ours(jpeg.Y, table, quality)
        end = time.perf_counter()
        error = np.abs(found - expected).max()
        print(
            f"{path} ({quality}), {name}: {found.size} features, largest difference {error:.1e}, "
            f"{middle - start:.2f} s -> {end - compiled:.2f} s",
            flush=True,
        )
        # GFR's original convolves by a Fourier transform, whose error takes a count here and there to the
        # other side of a half.
        assert expected.shape == found.shape and error < {"DCTR": 1e-6, "GFR": 1e-3}[name], name


if __name__ == "__main__":
    import argparse
    import pathlib

    parser = argparse.ArgumentParser(description="compares the fast detectors with the originals")
    parser.add_argument("jpegs", type=pathlib.Path, nargs="+", help="of quality 75 or 95")
    for path in parser.parse_args().jpegs:
        _check(path)
