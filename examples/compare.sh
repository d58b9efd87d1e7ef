#!/usr/bin/env bash
# Reconstruct an undersampled, noisy phantom of 8 coils by BART's methods and by `pogmdm`, and print the normalised
# error of each (`bart nrmse`).
# usage: compare.sh [SIZE]    needs bart and bart-pogmdm
set -euo pipefail
size=${1:-128}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

{
    bart phantom -x "$size" -k -s 8 full
    bart fft -i -u 3 full coils
    bart rss 8 coils reference
    bart noise -s 1 -n 0.5 full noisy
    bart poisson -Y "$size" -Z "$size" -y 1.8 -z 1.8 -C 24 -e mask
    bart reshape 7 "$size" "$size" 1 mask pattern
    bart fmac noisy pattern kspace

    bart nlinv -S -i9 kspace nlinv
    bart ecalib -m1 -c0 kspace sens
    bart pics -S -R T:3:0:0.01 -i100 kspace sens tv
    bart pics -S -R W:3:0:0.005 -i100 kspace sens wavelet
    bart-pogmdm kspace pogmdm
    bart-pogmdm --samples 10 kspace mean sens2 std
} >/dev/null

for name in nlinv tv wavelet pogmdm mean; do
    bart cabs $name magnitude
    printf '%-8s %s\n' $name "$(bart nrmse -s reference magnitude | tail -1)"
done
