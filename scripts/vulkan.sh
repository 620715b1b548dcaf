#!/usr/bin/env bash
# Runs a Vulkan build (`make vulkan`) on the device that is here: the engine's tests of
# chips, and the model in a worker as it is served, shut in. Fails if the GPU was not used.
#
# Where only a software driver is found (Mesa's llvmpipe), that is used: slow, but every
# kernel runs.

set -euo pipefail
cd "$(dirname "$0")/.."

readonly OUTCROP=${CARGO_TARGET_DIR:-target/vulkan}/release/outcrop

gpus() { "$OUTCROP" devices --json | grep -c '"backend": "Vulkan"' || true; }

if [[ $(gpus) == 0 ]]; then
  export GGML_VK_VISIBLE_DEVICES=0
  [[ $(gpus) != 0 ]] || {
    echo "vulkan: no driver is here (mesa-vulkan-drivers has one for any processor)" >&2
    exit 1
  }
fi
"$OUTCROP" devices

cargo nextest run --release --locked --workspace --features outcrop/vulkan -E 'binary(devices)'

report=$("$OUTCROP" bench --json --streams 1,4 --tokens 16 --prompt 100)
grep -E '"computed_on": ".* layers on Vulkan' <<<"$report" ||
  {
    echo "vulkan: the worker did not use the GPU" >&2
    exit 1
  }
