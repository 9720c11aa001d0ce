"""Ways to price and to direct changes in coloured pictures, at the bound of theory.

Each scheme here is a simulator: it makes the changes that a perfect code would make at its costs,
all three channels sharing one message. `across` and `apart` are distri's two measures (see
`distri-services/src/stego/cost.rs`); the others are what they are compared with.

A scheme that begins with `together` decides channel after channel, and makes a change cheaper that
goes the way of the changes that are there already: of the same pixel's other channels (after Tang,
Li, Luo, Huang: clustering of modification directions for colours, IEEE SPL 23, 2016), or of neighbours
as well (Li, Wang, Li, Tan, Huang, IEEE TIFS 10, 2015). Those of `CLUSTERED` do the latter in grey.

A scheme that ends with `tied` makes changes as a code can that first decides what changes and then which
way: a sample's direction is either free, both ways equally often, and carries a bit, or tied to the
cheaper way and carries none, whichever is worth more.
"""

import numba
import numpy as np
from scipy import ndimage

LEAST_RESIDUAL = np.float32(2.0**-23)
LEAST_DIFFERENCE = np.float32(0.05)
HIGH_PASS = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], dtype=np.float32) / 4
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)

# ---- costs -------------------------------------------------------------------------------------


def _residual(plane):
    return ndimage.convolve(plane.astype(np.float32), HIGH_PASS, mode="reflect")


def _magnitude(residual):
    return ndimage.uniform_filter(np.abs(residual), 3, mode="reflect")


def _smooth(suspicion):
    return ndimage.uniform_filter(suspicion.astype(np.float64), 15, mode="reflect")


def _hill(plane):
    return _smooth(1 / np.maximum(_magnitude(_residual(plane)), LEAST_RESIDUAL))


def apart(tile):
    """HILL of each channel by itself."""
    return np.stack([_hill(tile[..., c]) for c in range(tile.shape[2])], axis=2)


def across(tile, weight=1.0):
    """The same, plus HILL of the difference from the nearest other channel."""
    residuals = [_residual(tile[..., c]) for c in range(3)]
    costs = []
    for c in range(3):
        own = np.maximum(_magnitude(residuals[c]), LEAST_RESIDUAL)
        others = [_magnitude(residuals[c] - residuals[o]) for o in range(3) if o != c]
        nearest = np.maximum(np.minimum(*others), LEAST_DIFFERENCE)
        costs.append(_smooth(1 / own + weight / nearest))
    return np.stack(costs, axis=2)


def mean(tile):
    """The mean of the channels' costs, for each of them."""
    return np.repeat(apart(tile).mean(axis=2, keepdims=True), 3, axis=2)


def blend(tile):
    """The geometric mean of a channel's own cost and the mean of all."""
    costs = apart(tile)
    return np.sqrt(costs * costs.mean(axis=2, keepdims=True))


def dearest(tile):
    """The highest of the channels' costs, for each of them."""
    return np.repeat(apart(tile).max(axis=2, keepdims=True), 3, axis=2)


def luma(tile):
    """HILL of the brightness, for each channel."""
    return np.repeat(_hill(tile @ LUMA)[..., None], 3, axis=2)


def weighted(green):
    """HILL of each channel by itself, green as many times as dear."""

    def costs(tile):
        return apart(tile) * np.array([1, green, 1])

    return costs


# ---- simulation --------------------------------------------------------------------------------


@numba.njit(cache=True)
def _bits(up, down, factor):
    """Entropy of the choices at this factor."""
    total = 0.0
    for i in range(up.size):
        a, b = factor * up[i], factor * down[i]
        if a > 60 and b > 60:
            continue
        x, y = np.exp(-a), np.exp(-b)
        z = 1 + x + y
        total += np.log(z) + (a * x + b * y) / z
    return total / np.log(2.0)


def _root(bits_at, bits, cost):
    """The factor at which there are so many bits: on logarithms, by false position (Illinois)."""

    def excess(at):
        return np.log(max(bits_at(np.exp(at)), 1e-9) / bits)

    at = -np.log(cost)
    last = excess(at)
    step = 1.0 if last > 0 else -1.0
    while True:
        before, at = (at, last), at + step
        last = excess(at)
        if (last > 0) != (before[1] > 0):
            break
        step *= 1.5
    (a, left), (b, right) = before, (at, last)
    for _ in range(100):
        at = (a * right - b * left) / (right - left)
        last = excess(at)
        if abs(last) < 1e-6:
            break
        if (last > 0) == (right > 0):
            b, right, left = at, last, left / 2
        else:
            a, left, b, right = b, right, at, last
    assert abs(last) < 1e-4, last
    return np.exp(at)


def _factor(up, down, bits):
    """At which the choices carry so many bits."""
    return _root(lambda factor: _bits(up, down, factor), bits, np.median(np.minimum(up, down)))


@numba.njit(cache=True)
def _bits_aligned(costs, factor):
    """The same, if the changes of a pixel carry one direction between them."""
    total = 0.0
    for y in range(costs.shape[0]):
        for x in range(costs.shape[1]):
            none = 1.0
            for c in range(3):
                weight = 2 * np.exp(-min(factor * costs[y, x, c], 600.0))
                z = 1 + weight
                if weight > 1e-200:
                    total += np.log2(z) - weight / z * np.log2(weight)
                none /= z
            total += 1 - none
    return total


def _draw(up, down, factor, random):
    x, y = np.exp(-factor * up), np.exp(-factor * down)
    z = 1 + x + y
    drawn = random.random(up.shape) * z
    return (drawn < x).astype(np.int8) - ((drawn >= x) & (drawn < x + y)).astype(np.int8)


# What a sample at the end of its range pays for a step beyond, and what none costs at most.
WET = 1e30


def _priced(tile, costs):
    up = np.where(tile == 255, WET, costs)
    down = np.where(tile == 0, WET, costs)
    return up, down


def alone(costs_of):
    """Each sample by itself, at these costs."""

    def simulate(tile, rate, seed):
        random = np.random.default_rng(seed)
        up, down = _priced(tile, costs_of(tile))
        factor = _factor(up.ravel(), down.ravel(), rate * tile.size)
        return tile + _draw(up, down, factor, random).astype(np.uint8)

    return simulate


@numba.njit(cache=True)
def _choice(up, down, factor):
    """The price of a change, less what a free direction gains by carrying a bit; whether it is free."""
    tied = factor * min(up, down)
    free = factor * (up + down) / 2 - np.log(2.0)
    return min(tied, free), free <= tied


@numba.njit(cache=True)
def _bits_tied(up, down, factor):
    total = 0.0
    for i in range(up.size):
        price, free = _choice(up[i], down[i], factor)
        if price > 60:
            continue
        weight = np.exp(-price)
        change = weight / (1 + weight)
        total += (np.log1p(weight) + price * change) / np.log(2.0) + (change if free else 0.0)
    return total


def _factor_tied(up, down, bits):
    """By bisection: the bits fall in steps, wherever a direction becomes tied."""
    low = high = 1 / np.median(np.minimum(up, down))
    while _bits_tied(up, down, low) < bits:
        low /= 2
    while _bits_tied(up, down, high) > bits:
        high *= 2
    for _ in range(50):
        middle = np.sqrt(low * high)
        if _bits_tied(up, down, middle) > bits:
            low = middle
        else:
            high = middle
    return high


@numba.njit(cache=True)
def _drawn_tied(up, down, factor, draws):
    drawn = np.zeros(up.size, dtype=np.int8)
    for i in range(up.size):
        price, free = _choice(up[i], down[i], factor)
        weight = np.exp(-min(price, 600.0))
        change = weight / (1 + weight)
        if draws[i] < change:
            upward = draws[i] < change / 2 if free else up[i] < down[i]
            drawn[i] = 1 if upward else -1
    return drawn


def _draw_tied(up, down, factor, random):
    draws = random.random(up.size)
    return _drawn_tied(up.ravel(), down.ravel(), factor, draws).reshape(up.shape)


# Green first, for it is most of the brightness.
ORDER = (1, 0, 2)


def together(costs_of, cheaper, spatial=False, dearer=1.0, tied=False):
    """One channel after the other (and, if `spatial`, each in four lattices): what goes the way of
    the changes that are there costs `cheaper` times less, what goes the other way `dearer` times
    more. Directions are drawn by their prices, or, if `tied`, are free or fixed."""
    factor_of, draw = (_factor_tied, _draw_tied) if tied else (_factor, _draw)

    def simulate(tile, rate, seed):
        random = np.random.default_rng(seed)
        costs = costs_of(tile)
        up, down = _priced(tile, costs)
        factor = _factor(up.ravel(), down.ravel(), rate * tile.size)
        changes = np.zeros(tile.shape, dtype=np.int8)
        lattices = [(y, x) for y in (0, 1) for x in (0, 1)] if spatial else [(None, None)]
        for y, x in lattices:
            part = (slice(y, None, 2), slice(x, None, 2)) if spatial else (slice(None),) * 2
            for channel in ORDER if tile.shape[2] == 3 else range(tile.shape[2]):
                here = part + (channel,)
                bits = _bits(up[here].ravel(), down[here].ravel(), factor)
                way = changes[part].sum(axis=2, dtype=int)
                if spatial:
                    way = way + _around(changes[..., channel])[part]
                a, b = up[here].copy(), down[here].copy()
                a[way > 0] /= cheaper
                b[way > 0] *= dearer
                b[way < 0] /= cheaper
                a[way < 0] *= dearer
                own = factor_of(a.ravel(), b.ravel(), bits)
                changes[here] = draw(a, b, own, random)
        return tile + changes.astype(np.uint8)

    return simulate


def aligned(costs_of):
    """Samples change by themselves, but all changes of a pixel go one way, which is drawn once and
    so carries one bit, not one for each."""

    def simulate(tile, rate, seed):
        random = np.random.default_rng(seed)
        costs = np.ascontiguousarray(costs_of(tile), dtype=float)
        bits = rate * tile.size
        factor = _root(lambda factor: _bits_aligned(costs, factor), bits, np.median(costs))
        weight = 2 * np.exp(-factor * costs)
        change = weight / (1 + weight)
        way = random.integers(2, size=tile.shape[:2], dtype=np.int8)[..., None] * 2 - 1
        way = np.where(tile == 0, 1, np.where(tile == 255, -1, way))
        return tile + (way * (random.random(tile.shape) < change)).astype(np.uint8)

    return simulate


def grey(simulate):
    """The same of a picture with one channel."""
    return lambda tile, rate, seed: simulate(tile[..., None], rate, seed)[..., 0]


def _around(changes):
    """The sum of the four neighbours."""
    padded = np.pad(changes.astype(int), 1)
    return padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]


SCHEMES = {
    "across": alone(across),
    "apart": alone(apart),
    "mean": alone(mean),
    "blend": alone(blend),
    "dearest": alone(dearest),
    "luma": alone(luma),
    "green-2": alone(weighted(2.0)),
    "green-half": alone(weighted(0.5)),
    "aligned": aligned(apart),
    "aligned-mean": aligned(mean),
    "together-3": together(apart, 3.0),
    "together-9": together(apart, 9.0),
    "together-around-9": together(apart, 9.0, spatial=True),
    "together-around-9-tied": together(apart, 9.0, spatial=True, tied=True),
}

# Of grey tiles.
CLUSTERED = {
    "around-3": grey(together(apart, 3.0, spatial=True)),
    "around-9": grey(together(apart, 9.0, spatial=True)),
    "around-9-tied": grey(together(apart, 9.0, spatial=True, tied=True)),
}
