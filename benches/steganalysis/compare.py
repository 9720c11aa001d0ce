"""Whether one scheme is found less often than another: intervals by the bootstrap.

    python compare.py colour/crm/apart/0.4 colour/crm/across/0.4 …

prints P_E of each and how much more it is than that of the last one, on the same tiles, splits and
seeds, with intervals of 95 %. What is drawn again, 10,000 times, are photographs (with all their
tiles) and splits, so that an interval has both chances in it: which photographs there were, and
which of them trained. Which photographs there were to train with at all is not drawn again.
"""

import argparse
import pathlib

import numpy as np

DRAWS = 10_000
COVERED = (2.5, 97.5)


def decision_file(work, key):
    return work / "decisions" / (key.replace("/", "-") + ".npy")


def keep(work, key, judged):
    """Stores the errors of each split with each tile."""
    path = decision_file(work, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, judged.astype(np.float32))


def draws(judged, photographs):
    """Means of the errors, or of differences between errors, over and over."""
    random = np.random.default_rng(1)
    names, index = np.unique(photographs, return_inverse=True)
    tiles = np.bincount(index).astype(float)
    sums = np.array([np.bincount(index, weights=row) for row in judged])
    splits = len(judged)
    found = np.empty(DRAWS)
    for i in range(DRAWS):
        of_photographs = random.integers(len(names), size=len(names))
        times = np.bincount(of_photographs, minlength=len(names))
        of_splits = random.integers(splits, size=splits)
        shares = np.bincount(of_splits, minlength=splits) / splits
        found[i] = shares @ sums @ times / (tiles @ times)
    return found


def interval(judged, photographs):
    """Of 95 %."""
    low, high = np.percentile(draws(judged, photographs), COVERED)
    return float(low), float(high)


def difference(first, second, photographs):
    """How much more errors are made with the first: mean, interval, and p, two-sided."""
    change = np.asarray(first, dtype=float) - second
    drawn = draws(change, photographs)
    low, high = np.percentile(drawn, COVERED)
    tail = min((drawn <= 0).mean(), (drawn >= 0).mean())
    return float(change.mean()), float(low), float(high), float(min(1.0, 2 * tail))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("keys", nargs="+")
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    arguments = parser.parse_args()
    against = np.load(decision_file(arguments.work, arguments.keys[-1]))
    print("| | P_E | 95 % | more than the last | 95 % | p |\n|---|---:|---:|---:|---:|---:|")
    for key in arguments.keys:
        which = key.split("/")[0]
        # JPEGs of several qualities are of one set of tiles.
        photographs = np.load(arguments.work / f"{which.split('-')[0]}.npz")["photographs"]
        judged = np.load(decision_file(arguments.work, key))
        low, high = interval(judged, photographs)
        cells = f"| {key} | {judged.mean():.4f} | {low:.4f} to {high:.4f} |"
        if key == arguments.keys[-1]:
            print(cells + " | | |")
            continue
        mean, low, high, p = difference(judged, against, photographs)
        print(cells + f" {mean:+.4f} | {low:+.4f} to {high:+.4f} | {p:.4f} |")


if __name__ == "__main__":
    main()
