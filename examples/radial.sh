#!/usr/bin/env bash
# Reconstruct radial k-space of a phantom with 8 coils that was measured with delayed gradients: BART's `estdelay` finds
# the delays, `traj -q` corrects the trajectory, and `pogmdm -t` reconstructs along it.  Prints the delays, and the
# normalised errors (`bart nrmse`) without and with the correction.
# usage: radial.sh [SIZE] [SPOKES]    needs bart, and bart-pogmdm with its extra nufft
set -euo pipefail
size=${1:-128} spokes=${2:-31}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

{
    # The scanner: it takes twice as many samples on a spoke as needed, and its gradients are delayed.
    bart traj -x $((2 * size)) -y "$spokes" -D -q 0.6:-0.7:0.1 delayed
    bart scale 0.5 delayed true
    bart phantom -t true -k -s 8 clean
    bart noise -s 1 -n 20 clean kspace

    # The reconstruction: the planned trajectory, and the corrected one.
    bart traj -x $((2 * size)) -y "$spokes" -D planned
    bart scale 0.5 planned uncorrected_traj
    bart estdelay planned kspace >delays
    bart traj -x $((2 * size)) -y "$spokes" -D -q "$(cat delays)" found
    bart scale 0.5 found corrected_traj

    bart-pogmdm -t uncorrected_traj -x "$size:$size:1" kspace uncorrected
    bart-pogmdm -t corrected_traj -x "$size:$size:1" kspace corrected

    bart phantom -x "$size" -k -s 8 full
    bart fft -i -u 3 full coils
    bart rss 8 coils reference
} >/dev/null

echo "delays        $(cat delays)"
for name in uncorrected corrected; do
    bart cabs $name magnitude
    printf '%-13s %s\n' $name "$(bart nrmse -s reference magnitude | tail -1)"
done
