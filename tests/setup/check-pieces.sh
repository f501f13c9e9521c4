#!/bin/bash
# Fetches the packages that the pairs of device-plugin/tests/pairs are made from, and unpacks each into
# a folder of its own: check-pieces.sh FOLDER (below ~/.cache/dunnage). Debian's packages come with
# its non-free component, Python's through pip. Nothing is installed.
set -euo pipefail
# shellcheck source=tests/setup/debian-suite.sh
. "$(dirname "${BASH_SOURCE[0]}")/debian-suite.sh"
folder=${1:?the folder to fill}
mkdir -p "$folder"
cd "$folder"
mkdir -p wheels unpacked

# deb SUITE PACKAGE...: unpacked/SUITE-PACKAGE
deb() {
  local suite=$1 package missing=()
  shift
  for package; do [ -d "unpacked/$suite-$package" ] || missing+=("$package"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  rm -rf debs
  download_packages "$suite" debs "${missing[@]}"
  for package in "${missing[@]}"; do
    rm -rf draft
    dpkg -x debs/"$package"_*.deb draft
    mv draft "unpacked/$suite-$package"
  done
  rm -rf debs
}

# wheel PACKAGE VERSION: unpacked/wheel-PACKAGE-VERSION, with - of the name as _
wheel() {
  local name=${1//-/_}-$2
  [ -d "unpacked/wheel-$name" ] && return
  python3 -m pip download -q --no-deps --only-binary=:all: --python-version 3.11 \
    --platform manylinux2014_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux1_x86_64 \
    -d wheels "$1==$2"
  rm -rf draft
  mkdir draft
  python3 -m zipfile -e wheels/"$name"-*.whl draft
  mv draft "unpacked/wheel-$name"
}

deb bookworm libc6 libgcc-s1 libstdc++6 hello musl libcuda1 libnvidia-ml1 libnvidia-ptxjitcompiler1 \
  libnvcuvid1 libnvidia-encode1 libnvidia-tesla-470-cuda1 libnvidia-tesla-470-ml1 \
  libnvidia-tesla-470-ptxjitcompiler1 libcudart11.0 libnvjpeg11 intel-opencl-icd libze1 \
  ocl-icd-libopencl1 intel-media-va-driver mesa-va-drivers libva2 libva-drm2 libamdhip64-5 \
  libhsa-runtime64-1
deb trixie libc6 libcuda1 libnvidia-ml1 libnvidia-ptxjitcompiler1 libcudart12 libamdhip64-5 \
  libhsa-runtime64-1 librocrand1
wheel nvidia-cuda-runtime-cu11 11.8.89
wheel nvidia-cuda-runtime-cu12 12.1.105
wheel nvidia-cuda-runtime-cu12 12.4.127
wheel nvidia-cuda-runtime-cu12 12.8.90
wheel nvidia-cuda-runtime-cu12 12.9.79
wheel nvidia-cuda-runtime 13.0.96
wheel nvidia-nvjpeg-cu12 12.4.0.76
