"""Detectors that distri's authors did not write, made fast enough to run on a laptop.

The features (SPAM, SRMQ1, CRM), weighted stego and sample pairs are `sealwatch`'s own code; only
its innermost functions (counting co-occurrences, rounding, folding symmetric bins) are replaced by
compiled ones. RS is the analysis of Aletheia, written without its loop over groups.
`python detectors.py --check` compares every one of them with the original.
"""

import ctypes
import importlib.machinery
import sys
import types

import numba
import numpy as np


def _import_without_torch():
    """Imports `sealwatch` without the 3 GB of torch that only its networks need."""

    class Absent:
        def __init__(self, *_, **__):
            pass

        def __call__(self, function):
            return function

    def module(name):
        absent = types.ModuleType(name)
        absent.__spec__ = importlib.machinery.ModuleSpec(name, None)
        absent.__path__ = []
        absent.__getattr__ = lambda _: Absent
        return absent

    names = ["torch", "torch.nn", "torch.nn.functional", "torchvision", "torchvision.transforms"]
    absent = {name: module(name) for name in names}
    for name in names[1:]:
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(absent[parent], child, absent[name])
    try:
        import torch  # noqa: F401  (whoever has it keeps it)
    except ImportError:
        sys.modules.update(absent)
    import sealwatch

    for name in names:
        if sys.modules.get(name) is absent[name]:
            del sys.modules[name]
    return sealwatch


def _keep_memory():
    """Has the allocator keep what is freed: half the time of CRM is the system's, for fresh pages."""
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return  # not glibc
    for parameter, size in ((mmap_threshold, 1 << 30), (trim_threshold, 1 << 30), (top_pad, 1 << 26)):
        mallopt(parameter, size)


_keep_memory()
sealwatch = _import_without_torch()
from sealwatch.srm import cooccurrence, crm, srm, symm  # noqa: E402
from sealwatch.spam import spam as spam_module  # noqa: E402

# What `fast()` replaces, as it was.
_ORIGINALS = {
    "cooccurrence4": cooccurrence.cooccurrence4,
    "cooccurrence3_col": cooccurrence.cooccurrence3_col,
    "round": cooccurrence.matlab.round,
    "symm3": symm.symm3,
    "symm4": symm.symm4,
    "symm3_dir": symm.symm3_dir,
    "symm4_dir": symm.symm4_dir,
    "get_m3": spam_module.get_m3,
}


# ---- compiled inner functions ------------------------------------------------------------------


@numba.njit(cache=True)
def _count4(values, down, right, threshold):
    side = 2 * threshold + 1
    counts = np.zeros((side, side, side, side))
    height, width = values.shape
    for y in range(height - 3 * down):
        for x in range(width - 3 * right):
            counts[
                values[y, x] + threshold,
                values[y + down, x + right] + threshold,
                values[y + 2 * down, x + 2 * right] + threshold,
                values[y + 3 * down, x + 3 * right] + threshold,
            ] += 1
    return counts


@numba.njit(cache=True)
def _count3(left, centre, right, threshold):
    side = 2 * threshold + 1
    counts = np.zeros((side, side, side))
    for i in range(left.size):
        counts[left[i] + threshold, centre[i] + threshold, right[i] + threshold] += 1
    return counts


def _cooccurrence4(D, type, T):
    down, right = {"hor": (0, 1), "ver": (1, 0)}[type]
    counts = _count4(np.ascontiguousarray(D, dtype=np.int8), down, right, T)
    return counts / counts.sum()


@numba.njit(cache=True)
def _count3_channels(values, threshold):
    side = 2 * threshold + 1
    counts = np.zeros(side * side * side, dtype=np.int64)
    for y in range(values.shape[0]):
        for x in range(values.shape[1]):
            bin = (values[y, x, 0] + threshold) * side + values[y, x, 1] + threshold
            counts[bin * side + values[y, x, 2] + threshold] += 1
    return counts.reshape((side, side, side))


def _cooccurrence3_col(D, type, T):
    counts = _count3_channels(np.asarray(D).astype(np.int8, copy=False), T)
    return counts / counts.sum()


def _get_m3(L, C, R, T, rounded=False):
    assert not rounded
    clipped = [np.clip(v, -T, T).astype(np.int8).ravel(order="F") for v in (L, C, R)]
    counts = _count3(*clipped, T)
    return counts.flatten(order="F") / counts.sum()


@numba.njit(cache=True)
def _rounded(values):
    out = np.empty(values.size, dtype=np.int8)
    for i in range(values.size):
        # sealwatch's tolerance for values just under a half; beyond ±100 all are clipped alike.
        size = min(np.floor(abs(values[i]) + 0.5 + 5e-6), 100.0)
        out[i] = size if values[i] >= 0 else -size
    return out


def _round(x):
    """Half away from zero, in bytes, which is all that is asked of it: it gets clipped next."""
    x = np.ascontiguousarray(x)
    return _rounded(x.ravel()).reshape(x.shape)


class _Terms(tuple):
    """Stands for a bin while a folding function runs, and remembers which were added up."""

    def __add__(self, other):
        return _Terms(tuple(self) + (() if isinstance(other, int) else tuple(other)))

    def __radd__(self, other):
        return self if isinstance(other, int) else NotImplemented


def _learned(function, shape, threshold):
    """The folding that `function` does, found by one symbolic run of it."""
    bins = np.empty(int(np.prod(shape)), dtype=object)
    for i in range(bins.size):
        bins[i] = _Terms((i,))
    folded = function(bins.reshape(shape), threshold)
    target = np.zeros(bins.size, dtype=np.int64)
    for out, terms in enumerate(folded):
        for i in terms if isinstance(terms, _Terms) else ():
            target[i] = out
    return target, len(folded)


def _folding(name, shape_of):
    known = {}

    def fold(A, T):
        if T not in known:
            known[T] = _learned(_ORIGINALS[name], shape_of(2 * T + 1), T)
        target, length = known[T]
        return np.bincount(target, weights=np.ravel(A), minlength=length).astype(A.dtype)

    return fold


def fast():
    """Puts the compiled functions in the place of `sealwatch`'s."""
    cooccurrence.matlab.round = _round
    spam_module.get_m3 = _get_m3
    for module in (symm, crm):
        module.symm4_dir = _folding("symm4_dir", lambda side: (2 * side**4,))
    symm.symm4 = _folding("symm4", lambda side: (side,) * 4)
    symm.symm3 = _folding("symm3", lambda side: (side,) * 3)
    symm.symm3_dir = _folding("symm3_dir", lambda side: (2 * side**3,))
    crm.Cooc3 = _cooccurrence3_col
    _set_default_counting(_cooccurrence4)


def slow():
    """`sealwatch` as it was."""
    cooccurrence.matlab.round = _ORIGINALS["round"]
    spam_module.get_m3 = _ORIGINALS["get_m3"]
    for name in ("symm3", "symm4", "symm3_dir", "symm4_dir"):
        setattr(symm, name, _ORIGINALS[name])
    crm.symm4_dir = _ORIGINALS["symm4_dir"]
    crm.Cooc3 = _ORIGINALS["cooccurrence3_col"]
    _set_default_counting(_ORIGINALS["cooccurrence4"])


def _set_default_counting(function):
    for order in ("all1st", "all2nd", "all3rd", "all3x3", "all5x5"):
        owner = getattr(cooccurrence, order)
        for defaults in (owner.__kwdefaults__ or {},):
            if "CoocN" in defaults:
                defaults["CoocN"] = function
        names = owner.__code__.co_varnames[: owner.__code__.co_argcount]
        if owner.__defaults__ and "CoocN" in names:
            values = list(owner.__defaults__)
            values[names.index("CoocN") - len(names)] = function
            owner.__defaults__ = tuple(values)


# ---- what experiments call ---------------------------------------------------------------------


def _flat(features):
    """One vector, by name: the order in which sealwatch lists them hangs on PYTHONHASHSEED."""
    return np.concatenate([np.ravel(features[k]) for k in sorted(features)]).astype(np.float32)


def spam(grey):
    """686 features: Markov chains of differences of neighbours."""
    return _flat(sealwatch.spam.extract(grey))


def srmq1(grey):
    """12753 features: co-occurrences of quantised noise residuals."""
    return _flat(srm.extract(grey, qs=[[1]] * 5))


def crm_q1(rgb):
    """Co-occurrences of noise residuals across the three channels of a pixel."""
    return _flat(crm.extract(rgb))


def sample_pairs(grey):
    """Estimated payload, in bits per sample, if it is LSB replacement."""
    return float(sealwatch.spa.attack(grey))


def weighted_stego(grey):
    """Estimated payload, in bits per sample, if it is LSB replacement."""
    return 2 * float(sealwatch.ws.attack(grey, correct_bias=True))


def rs(grey):
    """Estimated payload by Aletheia's RS analysis: 3 × 3 groups of which the centre is flipped."""
    grey = grey.astype(np.int64)

    def difference(image, mask):
        # Aletheia's: `(group + c) ^ |m| - c`, where c is 0 for mask 1 and 1 for mask -1; the
        # precedence makes it an exclusive or with `|m| - c`.
        c = 1 if mask < 0 else 0
        inner = slice(1, -1)
        # Groups start at every sample but the last three of a side, as `range(m - x)` has it.
        centre = image[inner, inner]
        flipped_centre = (centre + c) ^ (1 - c)
        around = [image[:-2, inner], image[2:, inner], image[inner, :-2], image[inner, 2:]]
        before = sum(np.abs(centre - n) for n in around)
        # Only the centre has a mask, so every other sample of the group stays.
        after = sum(np.abs(flipped_centre - n) for n in around)
        sign = np.sign(after - before)[:-1, :-1]
        return sign.mean()

    d0, d1 = difference(grey, 1), difference(grey ^ 1, 1)
    n0, n1 = difference(grey, -1), difference(grey ^ 1, -1)
    a, b, c = 2 * (d1 + d0), n0 - n1 - d1 - 3 * d0, d0 - n0
    if a == 0:
        # Aletheia divides by zero here; the equation is linear.
        z = complex(-c / b) if b else 0j
        return float((z / (z - 0.5)).real)
    root = np.sqrt(complex(b * b - 4 * a * c))
    z = min(((-b + root) / (2 * a), (-b - root) / (2 * a)), key=abs)
    return float((z / (z - 0.5)).real)


# ---- comparing with the originals --------------------------------------------------------------


def _aletheia_rs(folder):
    """`rs_image` out of a checkout of Aletheia, without importing what it does not need."""
    import multiprocessing
    import pathlib
    from cmath import sqrt  # noqa: F401

    source = pathlib.Path(folder, "aletheialib/attacks.py").read_text()
    start, end = source.index("# -- RS ATTACK --"), source.index("# -- CALIBRATION --")

    class Pool:
        def __init__(self, _):
            pass

        def map(self, function, items):
            return [int(function(item)) for item in items]

        def close(self):
            pass

        join = close

    scope = {"np": np, "Pool": Pool, "multiprocessing": multiprocessing}
    exec(source[start:end], scope)
    return lambda grey: scope["rs_image"](grey, None)


def _check(tiles, aletheia):
    import time

    rng = np.random.default_rng(1)
    for grey in tiles:
        rgb = np.stack([grey, np.roll(grey, 1, 0), np.roll(grey, 1, 1)], axis=2)
        rgb = np.clip(rgb + rng.integers(-3, 4, rgb.shape), 0, 255).astype(np.uint8)
        for name, detector, image in (
            ("SPAM", spam, grey),
            ("SRMQ1", srmq1, grey),
            ("CRM", crm_q1, rgb),
        ):
            slow()
            start = time.perf_counter()
            expected = detector(image)
            middle = time.perf_counter()
            fast()
            detector(image)
            compiled = time.perf_counter()
            found = detector(image)
            end = time.perf_counter()
            error = np.abs(found - expected).max()
            print(
                f"{name}: {found.size} features, largest difference {error:.1e}, "
                f"{middle - start:.2f} s -> {end - compiled:.2f} s"
            )
            assert expected.shape == found.shape and error < 1e-6, name
    if aletheia:
        original = _aletheia_rs(aletheia)
        for grey in tiles:
            expected, found = complex(original(grey)).real, rs(grey)
            print(f"RS: Aletheia {expected:.6f}, here {found:.6f}")
            assert abs(expected - found) < 1e-9
    else:
        print("RS: not compared, for no checkout of Aletheia was named")


if __name__ == "__main__":
    import argparse
    import pathlib

    parser = argparse.ArgumentParser(description="compares the fast detectors with the originals")
    parser.add_argument("--check", action="store_true", required=True)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--aletheia", type=pathlib.Path, help="a checkout of daniellerch/aletheia")
    arguments = parser.parse_args()
    photographs = np.load(arguments.work / "grey.npz")["tiles"]
    chosen = photographs[[0, len(photographs) // 2]]
    _check(chosen, arguments.aletheia)
else:
    fast()
