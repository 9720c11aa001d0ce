#!/bin/sh
# Everything, from the root of the repository: all.sh FOLDER, where FOLDER holds the checkouts that
# README.md names, in the environment that it describes.
set -eu
covers=$(realpath "$1")
cd "$(dirname "$0")/../.."
cargo build --release -p distri-services --example stego_lab
lab=$PWD/target/release/examples/stego_lab
work=$PWD/target/steganalysis
plot=$PWD/docs/steganography-detection.svg
colour_plot=$PWD/docs/steganography-colour.svg
cd benches/steganalysis
test -e "$work/jpeg.npz" || python covers.py "$covers" --work "$work"
python ours.py "$lab" --work "$work"
python experiment.py features --work "$work"
python experiment.py classify --work "$work"
python jpeg_experiment.py embed "$lab" --work "$work"
python jpeg_experiment.py features --work "$work"
python jpeg_experiment.py classify --work "$work"
python report.py --work "$work" --plot "$plot" --colour-plot "$colour_plot"
python agreement.py "$lab" --work "$work"
python jpeg_past.py "$lab" --work "$work"
