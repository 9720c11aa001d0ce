"""Detects: features of covers and stego tiles, then a classifier trained on half the photographs.

    python experiment.py features     (resumes: what is in WORK/features stays)
    python experiment.py classify     (writes WORK/results.json, and WORK/decisions for compare.py)

Both skip schemes whose stego tiles are not there yet.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import argparse
import fcntl
import json
import pathlib
import time

import numpy as np

import compare
import detectors
import embedders

RATES = (0.1, 0.2, 0.4)
SCHEMES = embedders.SIMULATED + embedders.OURS + embedders.CLUSTERED + embedders.COLOURED
SPLITS = 8
LEARNERS = 31
DIMENSIONS = {
    "spam": (50, 100, 200, 400),
    "srmq1": (100, 300, 600),
    "crm": (50, 100, 200, 400),
}

GREY_FEATURES = {"spam": detectors.spam, "srmq1": detectors.srmq1}
ESTIMATORS = {
    "rs": detectors.rs,
    "sample pairs": detectors.sample_pairs,
    "weighted stego": detectors.weighted_stego,
}
COLOUR_FEATURES = {
    "crm": detectors.crm_q1,
    # What a channel tells on its own, for comparing with grey images.
    "spam": lambda rgb: detectors.spam(rgb[..., 1]),
}


def load(work, which):
    found = np.load(work / f"{which}.npz")
    return found["tiles"], found["photographs"]


def feature_file(work, which, scheme, rate):
    return work / "features" / f"{which}-{scheme}-{rate}.npz"


def extract(work, which, scheme, rate, tiles):
    path = feature_file(work, which, scheme, rate)
    if path.exists() or not embedders.is_there(work, which, scheme, rate, len(tiles)):
        return
    start = time.time()
    measures = GREY_FEATURES | ESTIMATORS if which == "grey" else COLOUR_FEATURES
    columns = {name: [] for name in measures} | {"changed": []}
    for stego, cover in zip(embedders.embed(work, which, scheme, rate, tiles), tiles):
        for name, measure in measures.items():
            columns[name].append(measure(stego))
        columns["changed"].append((stego != cover).mean())
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part.npz")
    np.savez(part, **{name: np.array(values) for name, values in columns.items()})
    part.rename(path)
    print(f"{which} {scheme} {rate}: {time.time() - start:.0f} s", flush=True)


def known(work):
    store = work / "results.json"
    return json.loads(store.read_text()) if store.exists() else {}


def record(work, cells):
    """Adds to the results; several of these programs may run at once."""
    with open(work / "results.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        part = work / "results.part"
        part.write_text(json.dumps(known(work) | cells, indent=1))
        part.rename(work / "results.json")


def halves(photographs, split):
    """Which tiles train: those of one half of the photographs, drawn anew for each split."""
    names = np.unique(photographs)
    drawn = np.random.default_rng(split).permutation(names)[: len(names) // 2]
    return np.isin(photographs, drawn)


def decisions_of(covers, stegos, train, dimensions, seed):
    """Confidence that they are stego images, of the covers and the stego tiles that did not train.

    The dimension of the subspaces is chosen by the out-of-bag error, thus by training tiles alone.
    """
    best = (2.0, None)
    for dimension in dimensions:
        if dimension > covers.shape[1]:
            continue
        trainer = detectors.sealwatch.ensemble_classifier.FldEnsembleTrainer(
            Xc=np.ascontiguousarray(covers[train]),
            Xs=np.ascontiguousarray(stegos[train]),
            seed=seed,
            L=LEARNERS,
            d_sub=int(dimension),
            verbose=0,
        )
        ensemble, records = trainer.train()
        if records[-1]["oob_error"] < best[0]:
            best = (records[-1]["oob_error"], ensemble)
    test = ~train
    return best[1].predict_confidence(covers[test]), best[1].predict_confidence(stegos[test])


def judge(covers, stegos, photographs, dimensions):
    """The errors made with each tile, (false alarm + miss) / 2, one row for each split, and the area
    under the ROC of each training. Either half of a split trains once, so each tile is judged once
    in each split."""
    errors, areas = np.zeros((SPLITS, len(covers))), []
    for split in range(SPLITS):
        half = halves(photographs, split)
        for train in (half, ~half):
            from_covers, from_stegos = decisions_of(covers, stegos, train, dimensions, split + 1)
            # A tie, which the vote of an odd number does not have, would be half an error.
            alarms = (from_covers > 0) + (from_covers == 0) / 2
            misses = (from_stegos < 0) + (from_stegos == 0) / 2
            errors[split, ~train] = (alarms + misses) / 2
            order = from_stegos[:, None] - from_covers[None, :]
            areas.append((order > 0).mean() + (order == 0).mean() / 2)
    return errors, np.array(areas)


def classify(work, which, features, schemes, rates):
    tiles, photographs = load(work, which)
    results = known(work)
    covers = np.load(feature_file(work, which, "cover", 0))
    for scheme in schemes:
        for rate in rates:
            path = feature_file(work, which, scheme, rate)
            if not path.exists():
                continue
            stegos = np.load(path)
            for feature in features:
                key = f"{which}/{feature}/{scheme}/{rate}"
                if key in results and results[key].get("tiles") == len(tiles):
                    continue
                start = time.time()
                x, y = covers[feature], stegos[feature]
                keep = x.std(axis=0) + y.std(axis=0) > 0
                x, y = x[:, keep].astype(float), y[:, keep].astype(float)
                judged, areas = judge(x, y, photographs, DIMENSIONS[feature])
                errors = judged.mean(axis=1)
                low, high = compare.interval(judged, photographs)
                cell = {
                    "error": errors.mean(),
                    "deviation": errors.std(ddof=1),
                    "low": low,
                    "high": high,
                    "area": areas.mean(),
                    "splits": errors.tolist(),
                    "changed": float(stegos["changed"].mean()),
                    "tiles": len(tiles),
                    "photographs": len(np.unique(photographs)),
                }
                compare.keep(work, key, judged)
                record(work, {key: cell})
                print(
                    f"{key}: P_E {errors.mean():.3f} ({low:.3f} to {high:.3f}) "
                    f"({time.time() - start:.0f} s)",
                    flush=True,
                )


def estimate(work, schemes, rates):
    """True positives of the estimators at 5 % false alarms, the threshold from the covers."""
    results = {}
    covers = np.load(feature_file(work, "grey", "cover", 0))
    for scheme in schemes:
        for rate in rates:
            path = feature_file(work, "grey", scheme, rate)
            if not path.exists():
                continue
            stegos = np.load(path)
            for name in ESTIMATORS:
                threshold = np.nanpercentile(covers[name], 95)
                results[f"grey/{name}/{scheme}/{rate}"] = {
                    "detected": float((stegos[name] > threshold).mean()),
                    "median": float(np.nanmedian(stegos[name])),
                    "cover median": float(np.nanmedian(covers[name])),
                    "changed": float(stegos["changed"].mean()),
                    "tiles": len(covers[name]),
                }
    record(work, results)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("features", "classify"))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--sets", nargs="+", default=("grey", "colour"))
    parser.add_argument("--schemes", nargs="+", default=SCHEMES)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    arguments = parser.parse_args()
    work = arguments.work
    for which in arguments.sets:
        if arguments.what == "features":
            tiles, _ = load(work, which)
            extract(work, which, "cover", 0, tiles)
            for rate in sorted(arguments.rates, reverse=True):
                for scheme in arguments.schemes:
                    extract(work, which, scheme, rate, tiles)
        else:
            if which == "grey":
                estimate(work, arguments.schemes, arguments.rates)
            features = GREY_FEATURES if which == "grey" else COLOUR_FEATURES
            classify(work, which, features, arguments.schemes, arguments.rates)


if __name__ == "__main__":
    main()
