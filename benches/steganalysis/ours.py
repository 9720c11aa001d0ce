"""Makes distri's own stego tiles with the example `stego_lab` of `distri-services`.

    python ours.py ../../target/release/examples/stego_lab

Writes WORK/ours/SET/SCHEME-RATE/NUMBER.png and, beside them, the figures that it prints. The rate
counts everything that is embedded: headers and seals as well as the payload. Resumes.
"""

import argparse
import json
import pathlib
import subprocess
import tempfile

from PIL import Image

import embedders
from experiment import RATES, load

METHODS = {"fast": "matching", "at-once": "at-once", "adaptive": "adaptive"}


def lab(program, command, cover, out, *options):
    """What the lab prints for one cover tile."""
    with tempfile.NamedTemporaryFile(suffix=".png") as file:
        Image.fromarray(cover).save(file.name)
        call = [program, command, file.name, out, *map(str, options)]
        done = subprocess.run(call, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, call))}: {done.stderr.strip()}")
    return json.loads(done.stdout)


def embed(program, method, cover, out, rate, seed, height=0):
    """Embeds so many bits a sample; height 0 leaves the choice to the service."""
    options = ["--rate", rate, "--method", method, "--height", height, "--seed", seed]
    figures = lab(program, "embed", cover, out, *options)
    assert figures["method"] == method, f"asked for {method}, got {figures['method']}"
    # The rate is met to a byte.
    assert abs(figures["rate"] * figures["carriers"] - rate * cover.size) <= 16, figures
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lab", type=pathlib.Path)
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path("target/steganalysis"))
    parser.add_argument("--sets", nargs="+", default=("grey", "colour"))
    parser.add_argument("--schemes", nargs="+", default=embedders.OURS)
    parser.add_argument("--rates", nargs="+", type=float, default=RATES)
    arguments = parser.parse_args()
    program = arguments.lab.resolve()
    for which in arguments.sets:
        tiles, _ = load(arguments.work, which)
        for rate in sorted(arguments.rates, reverse=True):
            for scheme in arguments.schemes:
                folder = embedders.folder_of_ours(arguments.work, which, scheme, rate)
                folder.mkdir(parents=True, exist_ok=True)
                with open(folder / "figures.jsonl", "a") as log:
                    for number, tile in enumerate(tiles):
                        path = folder / f"{number:04}.png"
                        if not path.exists():
                            part = folder / f"{number:04}.part"
                            method = METHODS[scheme]
                            figures = embed(program, method, tile, part, rate, number + 1)
                            part.rename(path)
                            log.write(json.dumps(figures) + "\n")
                print(f"{which} {scheme} {rate}: {len(tiles)} tiles", flush=True)


if __name__ == "__main__":
    main()
