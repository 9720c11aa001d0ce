"""The table and the plot of `docs/steganography.md`, out of WORK/results.json.

    python report.py [--plot docs/steganography-detection.svg]

prints Markdown.
"""

import argparse
import json
import pathlib

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

from experiment import RATES  # noqa: E402

NAMES = {
    "lsb-replacement": "LSB replacement",
    "lsb-matching": "±1, simulated",
    "fast": "**distri `fast`**",
    "hill-simulated": "HILL at the bound, simulated",
    "adaptive": "**distri `adaptive`**",
}
COLOURS = {
    "lsb-replacement": "#999999",
    "lsb-matching": "#e09040",
    "fast": "#c04020",
    "hill-simulated": "#60a0d0",
    "adaptive": "#1050a0",
}
FEATURES = {"spam": "SPAM", "srmq1": "SRMQ1", "crm": "CRM (across channels)"}
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


def errors(results, which, features):
    head = ["P_E", "changed at 0.4"]
    head += [f"{FEATURES[feature]}, {rate}" for feature in features for rate in RATES]
    rows = []
    for scheme, name in NAMES.items():
        cells = [results.get(f"{which}/{f}/{scheme}/{r}") for f in features for r in RATES]
        if not any(cells):
            continue
        last = results.get(f"{which}/{features[0]}/{scheme}/{RATES[-1]}")
        texts = [f"{c['error']:.3f} ± {c['deviation']:.3f}" if c else "" for c in cells]
        rows.append([name, f"{last['changed']:.1%}" if last else ""] + texts)
    return table(head, rows)


def plot(results, path):
    figure, panels = plt.subplots(1, 2, figsize=(8, 3.2), sharey=True)
    for panel, feature in zip(panels, ("spam", "srmq1")):
        for scheme, name in NAMES.items():
            found = [(r, results.get(f"grey/{feature}/{scheme}/{r}")) for r in RATES]
            found = [(r, cell) for r, cell in found if cell]
            if found:
                rates, cells = zip(*found)
                panel.errorbar(
                    rates,
                    [cell["error"] for cell in cells],
                    [cell["deviation"] for cell in cells],
                    marker="o" if scheme in ("fast", "adaptive") else "s",
                    linestyle="-" if scheme in ("fast", "adaptive") else "--",
                    color=COLOURS[scheme],
                    capsize=2,
                    markersize=4,
                    label=name.replace("*", "").replace("`", ""),
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
    figure.tight_layout()
    # No date and no random names, so that a second run gives the same file.
    plt.rcParams["svg.hashsalt"] = "distri"
    plt.rcParams["svg.fonttype"] = "none"
    figure.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--plot", type=pathlib.Path)
    arguments = parser.parse_args()
    results = json.loads((arguments.work / "results.json").read_text())
    for which in ("grey", "colour"):
        cells = [cell for key, cell in results.items() if key.startswith(which)]
        sizes = {(c["tiles"], c["photographs"]) for c in cells if "photographs" in c}
        for tiles, photographs in sorted(sizes):
            print(f"{which}: {tiles} tiles of {photographs} photographs\n")
    print(estimators(results), "\n")
    print(errors(results, "grey", ("spam", "srmq1")), "\n")
    print(errors(results, "colour", ("crm", "spam")))
    if arguments.plot:
        plot(results, arguments.plot)


if __name__ == "__main__":
    main()
