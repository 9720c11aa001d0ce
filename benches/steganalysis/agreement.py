"""Compares distri's costs and codes with `conseal`'s: the reference by other hands.

    python agreement.py ../../target/release/examples/stego_lab

On a few grey tiles: the HILL costs (correlation, relative error), the share of samples that change
beside the share at the bound, the distortion, weighed with conseal's costs, beside the least
possible, for each height of the trellis, and the share of changes that are where a perfect code
makes next to none. All samples at once, for in turns costs hang on the changes before, and no simulator
has the same. Medians, and ninth deciles in brackets. Writes WORK/agreement.json.
"""

import argparse
import json
import pathlib
import tempfile

import conseal
import numpy as np
from conseal.simulate import _ternary
from PIL import Image

import ours
from experiment import load

RATES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
LOSS_RATES = (0.1, 0.4)
HEIGHTS = (7, 8, 9, 10, 11, 12)


def costs(program, tile):
    with tempfile.NamedTemporaryFile(suffix=".f32") as out:
        ours.lab(program, "costs", tile, out.name)
        found = np.fromfile(out.name, dtype="<f4")
    return found.reshape(tile.shape).astype(float)


class Embedded:
    """A stego image of ours beside the bound, both weighed with conseal's costs."""

    def __init__(self, program, tile, rate, seed, height=10):
        with tempfile.NamedTemporaryFile(suffix=".png") as out:
            figures = ours.embed(program, "at-once", tile, out.name, rate, seed, height)
            delta = np.asarray(Image.open(out.name)).astype(int) - tile
        rhos = conseal.hill.compute_cost_adjusted(x0=tile)
        exact = figures["rate"] * figures["carriers"] / tile.size
        (up, down), _ = _ternary.probability(rhos=rhos, alpha=exact, n=tile.size)
        likely = up + down
        self.changed = (delta != 0).mean()
        self.least_changed = likely.mean()
        paid = rhos[0][delta == 1].sum() + rhos[1][delta == -1].sum()
        self.loss = paid / (up * rhos[0] + down * rhos[1]).sum()
        # Where a perfect code changes less than one sample in a thousand.
        smooth = likely < 1e-3
        self.misplaced = ((delta != 0) & smooth).sum() / (delta != 0).sum()
        self.least_misplaced = likely[smooth].sum() / likely.sum()


def spread(values):
    """Median and ninth decile: a few covers with flat areas would drown a mean."""
    return [float(np.median(values)), float(np.percentile(values, 90))]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--tiles", type=int, default=24)
    arguments = parser.parse_args()
    program = arguments.lab.resolve()
    tiles, _ = load(arguments.work, "grey")
    tiles = tiles[np.linspace(0, len(tiles) - 1, arguments.tiles).astype(int)]
    results = {"tiles": len(tiles)}

    theirs = [conseal.hill._costmap.compute_cost(x0=tile) for tile in tiles]
    found = [costs(program, tile) for tile in tiles]
    # Scales are free: only ratios of costs count.
    scale = np.median([np.median(t / f) for t, f in zip(theirs, found)])
    errors = np.concatenate([np.abs(f * scale / t - 1).ravel() for t, f in zip(theirs, found)])
    correlations = [
        np.corrcoef(np.log(t.ravel()), np.log(f.ravel()))[0, 1] for t, f in zip(theirs, found)
    ]
    results["costs"] = {
        "least correlation of logarithms": float(min(correlations)),
        "median error": float(np.median(errors)),
        "largest error": float(errors.max()),
    }
    print(f"{len(tiles)} tiles. Costs: {results['costs']}\n")

    print("| bits per sample | changed / bound | distortion / bound | misplaced changes |")
    print("| --- | ---: | ---: | ---: |")
    results["changes"] = {}
    for rate in RATES:
        made = [Embedded(program, tile, rate, seed + 1) for seed, tile in enumerate(tiles)]
        ratio = spread([one.changed / one.least_changed for one in made])
        loss = spread([one.loss for one in made])
        misplaced = spread([one.misplaced for one in made])
        least = spread([one.least_misplaced for one in made])
        results["changes"][rate] = {
            "ratio": ratio,
            "loss": loss,
            "misplaced": misplaced,
            "misplaced at the bound": least,
        }
        print(
            f"| {rate} | {ratio[0]:.3f} ({ratio[1]:.3f}) | {loss[0]:.3f} ({loss[1]:.3g}) "
            f"| {misplaced[0]:.1%} ({misplaced[1]:.1%}), at the bound {least[1]:.1%} |",
            flush=True,
        )

    print("\n| height |", " | ".join(f"distortion / bound at {rate}" for rate in LOSS_RATES), "|")
    print("| --- |" + " ---: |" * len(LOSS_RATES))
    results["heights"] = {}
    for height in HEIGHTS:
        losses = []
        for rate in LOSS_RATES:
            made = [
                Embedded(program, tile, rate, seed + 1, height) for seed, tile in enumerate(tiles)
            ]
            losses.append(spread([one.loss for one in made]))
        results["heights"][height] = losses
        cells = [f"{median:.3f} ({high:.3g})" for median, high in losses]
        print(f"| {height} | " + " | ".join(cells) + " |", flush=True)
    (arguments.work / "agreement.json").write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
