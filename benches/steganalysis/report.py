"""The tables and the plots of `docs/steganography.md`, out of WORK/results.json.

    python report.py [--plot docs/steganography-detection.svg] [--colour-plot docs/steganography-colour.svg]

prints Markdown.
"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

import compare  # noqa: E402
import embedders  # noqa: E402
import jpeg_experiment  # noqa: E402
from experiment import RATES  # noqa: E402

# Schemes for grey and coloured tiles, then those for coloured ones alone (`channels.py`).
NAMES = {
    "lsb-replacement": "LSB replacement",
    "lsb-matching": "±1, simulated",
    "fast": "**distri `fast`**",
    "hill-simulated": "HILL at the bound, simulated",
    "at-once": "distri, all samples at once",
    "adaptive": "**distri `adaptive`**",
    "apart": "HILL of each channel",
    "across": "and of differences between channels",
    "mean": "mean of the channels' costs",
    "blend": "half own, half mean",
    "dearest": "the dearest channel's",
    "luma": "HILL of the brightness",
    "green-2": "each channel, green twice as dear",
    "green-half": "each channel, green half as dear",
    "aligned": "each channel, a pixel's changes go one way",
    "aligned-mean": "mean, a pixel's changes go one way",
    "together-3": "each channel, changes draw others, 3 ×",
    "together-9": "the same, 9 ×",
    "together-around-9": "the same, neighbours as well",
    "together-around-9-tied": "the same, directions free or tied",
    "around-3": "HILL, changes draw others, 3 ×",
    "around-9": "HILL, changes draw others, 9 ×",
    "around-9-tied": "HILL, changes draw others, free or tied",
}
JPEG_NAMES = {
    "nsf5": "nsF5 at the bound, simulated",
    "uerd": "UERD at the bound, simulated",
    "j-uniward": "J-UNIWARD at the bound, simulated",
    "jpeg": "**distri `jpeg`**",
}
COLOURS = {
    "lsb-replacement": "#999999",
    "lsb-matching": "#e09040",
    "fast": "#c04020",
    "hill-simulated": "#60a0d0",
    "at-once": "#60a060",
    "around-9-tied": "#9060c0",
    "adaptive": "#1050a0",
}
FEATURES = {
    "spam": "SPAM",
    "srmq1": "SRMQ1",
    "crm": "CRM (across channels)",
    "dctr": "DCTR",
    "gfr": "GFR",
}
ESTIMATORS = ("rs", "sample pairs", "weighted stego")


def row(cells):
    return "| " + " | ".join(cells) + " |"


def table(head, rows):
    lines = [row(head), row(["---"] + ["---:"] * (len(head) - 1))]
    return "\n".join(lines + [row(cells) for cells in rows])


def estimators(results):
    head = ["share found at 5 % false alarms"]
    head += [f"{name}, {rate}" for name in ("RS", "pairs", "WS") for rate in RATES]
    rows = []
    for scheme, name in NAMES.items():
        cells = [results.get(f"grey/{e}/{scheme}/{r}") for e in ESTIMATORS for r in RATES]
        if any(cells):
            rows.append([name] + [f"{c['detected']:.0%}" if c else "" for c in cells])
    return table(head, rows)


def half(cell):
    """Half the width of the interval of 95 %, which is as good as symmetric. Results from before
    there were intervals have the standard deviation over splits instead."""
    return (cell["high"] - cell["low"]) / 2 if "low" in cell else cell["deviation"]


def errors(results, which, features):
    head = ["P_E", "changed at 0.4"]
    head += [f"{FEATURES[feature]}, {rate}" for feature in features for rate in RATES]
    rows = []
    for scheme, name in NAMES.items():
        cells = [results.get(f"{which}/{f}/{scheme}/{r}") for f in features for r in RATES]
        if not any(cells):
            continue
        last = results.get(f"{which}/{features[0]}/{scheme}/{RATES[-1]}")
        texts = [f"{c['error']:.3f} ± {half(c):.3f}" if c else "" for c in cells]
        rows.append([name, f"{last['changed']:.1%}" if last else ""] + texts)
    return table(head, rows)


def of_jpegs(results, quality, features):
    """JPEGs that stay JPEGs; rates are per coefficient with detail."""
    rates = jpeg_experiment.RATES[::-1]
    head = [f"P_E, quality {quality}", "changed at 0.4"]
    head += [f"{FEATURES[feature]}, {rate}" for feature in features for rate in rates]
    rows = []
    for scheme, name in JPEG_NAMES.items():
        keys = [f"{jpeg_experiment.SET}-{quality}/{f}/{scheme}" for f in features]
        cells = [results.get(f"{key}/{rate}") for key in keys for rate in rates]
        if any(cells):
            last = results.get(f"{keys[0]}/{rates[-1]}")
            texts = [f"{c['error']:.3f} ± {half(c):.3f}" if c else "—" for c in cells]
            rows.append([name, f"{last['changed']:.1%}" if last else ""] + texts)
    return table(head, rows)


def plain(name):
    return name.replace("*", "").replace("`", "")


def plot(results, path):
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for panel, feature in zip(panels, ("spam", "srmq1")):
        for scheme, colour in COLOURS.items():
            name = NAMES[scheme]
            found = [(r, results.get(f"grey/{feature}/{scheme}/{r}")) for r in RATES]
            found = [(r, cell) for r, cell in found if cell]
            if found:
                rates, cells = zip(*found)
                panel.errorbar(
                    rates,
                    [cell["error"] for cell in cells],
                    [half(cell) for cell in cells],
                    marker="o" if scheme in embedders.OURS else "s",
                    linestyle="-" if scheme in embedders.OURS else "--",
                    color=colour,
                    capsize=2,
                    markersize=4,
                    label=plain(name),
                )
        panel.axhline(0.5, color="black", linewidth=0.6)
        panel.text(0.1, 0.505, "guessing", fontsize=7)
        panel.set_title(f"{FEATURES[feature]} + ensemble", fontsize=9)
        panel.set_xlabel("payload, bits per sample", fontsize=8)
        panel.set_xticks(RATES)
        panel.set_ylim(0, 0.55)
        panel.tick_params(labelsize=8)
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("error of the detector, P_E", fontsize=8)
    panels[1].legend(fontsize=7, loc="lower left")
    save(figure, path)


def plot_colour(work, path):
    """How much more errors CRM makes with each scheme than with each channel by itself."""
    against, rate = "apart", RATES[-1]
    photographs = np.load(work / "colour.npz")["photographs"]

    def judged(scheme):
        file = compare.decision_file(work, f"colour/crm/{scheme}/{rate}")
        return np.load(file) if file.exists() else None

    base = judged(against)
    rows = []
    for scheme in embedders.COLOURED + embedders.OURS:
        if scheme != against and (errors := judged(scheme)) is not None:
            rows.append((plain(NAMES[scheme]), *compare.difference(errors, base, photographs)[:3]))
    figure, panel = plt.subplots(figsize=(7.5, 0.32 * len(rows) + 1))
    for y, (name, mean, low, high) in enumerate(reversed(rows)):
        panel.errorbar(mean, y, xerr=[[mean - low], [high - mean]], fmt="o", color="#1050a0", capsize=3)
    panel.axvline(0, color="black", linewidth=0.6)
    panel.set_yticks(range(len(rows)), [row[0] for row in reversed(rows)], fontsize=8)
    panel.set_ylim(-0.6, len(rows) - 0.4)
    panel.tick_params(axis="x", labelsize=8)
    panel.grid(axis="x", alpha=0.25)
    panel.set_xlabel(
        f"P_E of CRM at {rate} bit, more than {base.mean():.3f} of HILL of each channel (95 %)", fontsize=8
    )
    save(figure, path)


def save(figure, path):
    figure.tight_layout()
    # No date and no random names, so that a second run gives the same file.
    plt.rcParams["svg.hashsalt"] = "distri"
    plt.rcParams["svg.fonttype"] = "none"
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--plot", type=pathlib.Path)
    parser.add_argument("--colour-plot", type=pathlib.Path)
    arguments = parser.parse_args()
    results = json.loads((arguments.work / "results.json").read_text())
    for which in ("grey", "colour"):
        cells = [cell for key, cell in results.items() if key.startswith(which)]
        sizes = {(c["tiles"], c["photographs"]) for c in cells if "photographs" in c}
        for tiles, photographs in sorted(sizes):
            print(f"{which}: {tiles} tiles of {photographs} photographs\n")
    print(estimators(results), "\n")
    print(errors(results, "grey", ("spam", "srmq1")), "\n")
    print(errors(results, "colour", ("crm", "spam")), "\n")
    for quality in jpeg_experiment.QUALITIES:
        print(of_jpegs(results, quality, ("dctr", "gfr")), "\n")
    if arguments.plot:
        plot(results, arguments.plot)
    if arguments.colour_plot:
        plot_colour(arguments.work, arguments.colour_plot)


if __name__ == "__main__":
    main()
