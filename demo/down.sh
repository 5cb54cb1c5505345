#!/usr/bin/env bash
# Removes everything that the demo started: processes, namespaces, pinned state. Logs stay.
set -euo pipefail
cd "$(dirname "$0")/.."
source demo/lib.sh
source demo/fabric.sh

[ "$(id -u)" -eq 0 ] || fail "network namespaces need root"
only_one
demo_down
echo "the demo is gone; its logs are in $log_dir"
