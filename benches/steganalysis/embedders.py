"""How each scheme of the experiments turns a cover tile into a stego tile.

The first three are `conseal`'s simulators: they make the changes that a perfect code would make. So
do those of `channels.py`, for coloured tiles and, if clustered, for grey ones. `fast` and `adaptive` are distri's own stego images, made outside (see README.md) and read back from
`WORK/ours/SET/SCHEME-RATE/NUMBER.png`.
"""

import pathlib

import conseal
import numpy as np
from PIL import Image

import channels

SIMULATED = ("lsb-replacement", "lsb-matching", "hill-simulated")
COLOURED = tuple(channels.SCHEMES)
CLUSTERED = tuple(channels.CLUSTERED)
OURS = ("fast", "at-once", "adaptive")


def _channel(scheme, grey, rate, seed):
    if scheme == "hill-simulated":
        return conseal.hill.simulate_single_channel(grey, rate, seed=seed)
    how = {
        "lsb-replacement": conseal.LSB_REPLACEMENT,
        "lsb-matching": conseal.LSB_MATCHING,
    }[scheme]
    # Two bits per change: what embedding without a code achieves.
    return conseal.lsb.simulate(grey, rate, modify=how, e=2, seed=seed)


def simulated(scheme, tile, rate, seed):
    """A tile with `rate` bits per sample; `conseal` has each channel on its own."""
    for schemes in (channels.SCHEMES, channels.CLUSTERED):
        if scheme in schemes:
            return schemes[scheme](tile, rate, seed)
    if tile.ndim == 2:
        return _channel(scheme, tile, rate, seed)
    each = [_channel(scheme, tile[..., c], rate, 3 * seed + c) for c in range(3)]
    return np.stack(each, axis=2)


def folder_of_ours(work, which, scheme, rate):
    return pathlib.Path(work) / "ours" / which / f"{scheme}-{rate}"


def is_there(work, which, scheme, rate, count):
    """Whether stego tiles of this scheme can be had."""
    if scheme in COLOURED:
        return which == "colour"
    if scheme in CLUSTERED:
        return which == "grey"
    if scheme == "cover" or scheme in SIMULATED:
        return True
    folder = folder_of_ours(work, which, scheme, rate)
    return len(list(folder.glob("*.png"))) == count


def embed(work, which, scheme, rate, tiles):
    """All stego tiles, in the order of the covers."""
    if scheme == "cover":
        yield from tiles
        return
    for number, tile in enumerate(tiles):
        if scheme in SIMULATED + COLOURED + CLUSTERED:
            stego = simulated(scheme, tile, rate, number)
        else:
            path = folder_of_ours(work, which, scheme, rate) / f"{number:04}.png"
            stego = np.asarray(Image.open(path))
        assert stego.shape == tile.shape and stego.dtype == np.uint8, (scheme, number)
        distance = np.abs(stego.astype(int) - tile).max()
        assert distance <= 1, f"{scheme} changes tile {number} by {distance}"
        yield stego
