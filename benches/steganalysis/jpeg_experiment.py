"""Detects hiding in JPEGs that stay JPEGs: the tiles of `large.npz`, compressed by libjpeg.

    python jpeg_experiment.py embed ../../target/release/examples/stego_lab
    python jpeg_experiment.py features
    python jpeg_experiment.py classify

A rate is in bits for each coefficient that is neither zero nor a mean, headers and seals counted, or, if it
is called `10-root`, ten times the root of their number, in bits. Tiles in which the lowest rate would not hold
the headers are left out, at all rates and qualities. Files go to WORK/jpegs/QUALITY/SCHEME-RATE; everything
resumes. Protocol and classifier are those of `experiment.py`.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import json
import pathlib
import subprocess
import tempfile
import time

import conseal
import jpeglib
import numpy as np
from PIL import Image

import compare
import experiment
import jpeg_detectors
from jpeg_costs import decoded

# What is chosen of `large`.
SET = "coded"
QUALITIES = (75, 95)
RATES = ("0.4", "0.2", "0.1", "10-root")
# `jpeg` is distri's own; the others are `conseal`'s simulators of what a perfect code would do.
SCHEMES = ("jpeg", "j-uniward", "uerd", "nsf5")
FEATURES = {"dctr": jpeg_detectors.dctr, "gfr": jpeg_detectors.gfr}
DIMENSIONS = (100, 300, 600)

# Bytes of a message's two headers and seals, see `analysis.rs`.
OVERHEAD = 140
# Coefficients with detail at the lowest quality without which a tile is left out.
DETAIL_MIN = 13_000


def folder(work, quality, scheme, rate):
    return work / "jpegs" / str(quality) / (scheme if scheme == "cover" else f"{scheme}-{rate}")


def detail(coefficients):
    """Coefficients that are neither zero nor means."""
    return int((coefficients != 0).sum() - (coefficients[..., 0, 0] != 0).sum())


def bits(rate, count):
    """The length of a message in a picture with so many coefficients with detail."""
    factor, root = rate.removesuffix("-root"), rate.endswith("-root")
    return float(factor) * (count**0.5 if root else count)


def put(path, write):
    """Whole files only."""
    part = path.with_suffix(".part.jpg")
    write(str(part))
    part.rename(path)


def choose(work):
    """Tiles with enough detail, and their photographs; finds and stores them first."""
    path = work / f"{SET}.npz"
    if not path.exists():
        found = np.load(work / "large.npz")
        with tempfile.NamedTemporaryFile(suffix=".jpg") as file:

            def enough(tile):
                Image.fromarray(tile).save(file.name, "JPEG", quality=min(QUALITIES))
                return detail(jpeglib.read_dct(file.name).Y) >= DETAIL_MIN

            keep = np.array([enough(tile) for tile in found["tiles"]])
        np.savez_compressed(path, **{name: found[name][keep] for name in found})
    return experiment.load(work, SET)


def compress(work, quality, tiles):
    place = folder(work, quality, "cover", 0)
    place.mkdir(parents=True, exist_ok=True)
    for number, tile in enumerate(tiles):
        path = place / f"{number:04}.jpg"
        if not path.exists():
            put(path, lambda part: Image.fromarray(tile).save(part, "JPEG", quality=quality))


def prices(scheme, jpeg):
    """Of steps up and down."""
    if scheme == "nsf5":
        return conseal.nsF5.compute_cost_adjusted(jpeg.Y)
    if scheme == "uerd":
        return conseal.uerd.compute_cost_adjusted(y0=jpeg.Y, qt=jpeg.qt[0])
    return conseal.juniward._costmap.compute_cost_adjusted(
        x0=decoded(jpeg),
        y0=jpeg.Y,
        qt=jpeg.qt[0],
        implementation=conseal.juniward.Implementation.JUNIWARD_FIX_OFF_BY_ONE,
    )


def simulate(scheme, cover, wanted, seed):
    """Writes the stego files `wanted`, of several rates."""
    rhos = prices(scheme, jpeglib.read_dct(str(cover)))
    for rate, path in wanted:
        jpeg = jpeglib.read_dct(str(cover))
        count = detail(jpeg.Y)
        alpha = bits(rate, count) / count
        delta = conseal.simulate.ternary(rhos=rhos, alpha=alpha, n=count, seed=seed)
        jpeg.Y = (jpeg.Y + delta).astype(jpeg.Y.dtype)
        put(path, jpeg.write_dct)


def hide(program, cover, wanted, seed):
    """The same with distri's own, at the height that it chooses."""
    count = detail(jpeglib.read_dct(str(cover)).Y)
    for rate, path in wanted:
        length = round(bits(rate, count) / 8) - OVERHEAD
        if length < 1:
            raise ValueError(f"{cover}: {rate} is less than the headers take")
        options = ["--bytes", str(length), "--height", "0", "--seed", str(seed)]

        def write(part):
            call = [program, "jpeg", str(cover), part, *options]
            done = subprocess.run(call, capture_output=True, text=True)
            if done.returncode != 0:
                raise RuntimeError(f"{' '.join(map(str, call))}: {done.stderr.strip()}")
            json.loads(done.stdout)

        put(path, write)


def embed(work, program, quality, schemes, rates, tiles):
    compress(work, quality, tiles)
    for scheme in schemes:
        if scheme == "jpeg" and program is None:
            continue
        start = time.time()
        for rate in rates:
            folder(work, quality, scheme, rate).mkdir(parents=True, exist_ok=True)
        for number in range(len(tiles)):
            cover = folder(work, quality, "cover", 0) / f"{number:04}.jpg"
            paths = [(rate, folder(work, quality, scheme, rate) / cover.name) for rate in rates]
            wanted = [(rate, path) for rate, path in paths if not path.exists()]
            if wanted and scheme == "jpeg":
                hide(program, cover, wanted, number + 1)
            elif wanted:
                simulate(scheme, cover, wanted, number + 1)
        print(f"{quality} {scheme}: {time.time() - start:.0f} s", flush=True)


def feature_file(work, quality, scheme, rate, feature):
    return work / "features" / f"{SET}-{quality}-{scheme}-{rate}-{feature}.npz"


def extract(work, quality, scheme, rate, feature, count):
    path = feature_file(work, quality, scheme, rate, feature)
    files = sorted(folder(work, quality, scheme, rate).glob("[0-9][0-9][0-9][0-9].jpg"))
    if path.exists() or len(files) != count:
        return
    start = time.time()
    rows, changed = [], []
    for file in files:
        jpeg = jpeglib.read_dct(str(file))
        cover = jpeglib.read_dct(str(folder(work, quality, "cover", 0) / file.name))
        steps = np.abs(jpeg.Y.astype(int) - cover.Y)
        assert steps.max() <= 1 and (jpeg.qt == cover.qt).all(), file
        rows.append(FEATURES[feature](jpeg.Y, jpeg.qt[0], quality))
        changed.append(steps.sum() / detail(cover.Y))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, features=np.array(rows), changed=np.array(changed))
    part.rename(path)
    print(f"{quality} {scheme} {rate} {feature}: {time.time() - start:.0f} s", flush=True)


def classify(work, quality, scheme, rate, feature, photographs):
    path = feature_file(work, quality, scheme, rate, feature)
    key = f"{SET}-{quality}/{feature}/{scheme}/{rate}"
    known = experiment.known(work).get(key, {})
    if not path.exists() or known.get("tiles") == len(photographs):
        return
    start = time.time()
    stegos = np.load(path)
    x = np.load(feature_file(work, quality, "cover", 0, feature))["features"]
    y = stegos["features"]
    keep = x.std(axis=0) + y.std(axis=0) > 0
    judged, areas = experiment.judge(
        x[:, keep].astype(float), y[:, keep].astype(float), photographs, DIMENSIONS
    )
    compare.keep(work, key, judged)
    low, high = compare.interval(judged, photographs)
    cell = {
        "error": float(judged.mean()),
        "low": low,
        "high": high,
        "area": float(areas.mean()),
        "changed": float(stegos["changed"].mean()),
        "tiles": len(photographs),
        "photographs": len(np.unique(photographs)),
    }
    experiment.record(work, {key: cell})
    print(
        f"{key}: P_E {cell['error']:.3f} ({low:.3f} to {high:.3f}), changed {cell['changed']:.2%} "
        f"({time.time() - start:.0f} s)",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("embed", "features", "classify"))
    parser.add_argument("lab", type=pathlib.Path, nargs="?", help="only to embed with distri's own")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--qualities", nargs="+", type=int, default=QUALITIES)
    parser.add_argument("--schemes", nargs="+", default=SCHEMES)
    parser.add_argument("--rates", nargs="+", default=RATES)
    parser.add_argument("--features", nargs="+", default=tuple(FEATURES))
    arguments = parser.parse_args()
    work = arguments.work
    tiles, photographs = choose(work)
    cells = [(rate, scheme) for rate in arguments.rates for scheme in arguments.schemes]
    for quality in arguments.qualities:
        if arguments.what == "embed":
            program = arguments.lab and arguments.lab.resolve()
            embed(work, program, quality, arguments.schemes, arguments.rates, tiles)
            continue
        for feature in arguments.features:
            if arguments.what == "features":
                extract(work, quality, "cover", 0, feature, len(tiles))
            for rate, scheme in cells:
                if arguments.what == "features":
                    extract(work, quality, scheme, rate, feature, len(tiles))
                else:
                    classify(work, quality, scheme, rate, feature, photographs)


if __name__ == "__main__":
    main()
