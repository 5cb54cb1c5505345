#!/usr/bin/env bash
# Makes the p4info with stock p4c; only needed after changing the program.
#
#   P4C=/path/to/p4c-bm2-ss [P4INCLUDE=/path/to/p4include] ./compile.sh
set -euo pipefail

: "${P4C:?set P4C to the p4c-bm2-ss to compile with}"
include=(${P4INCLUDE:+-I "$P4INCLUDE"})

cd "$(dirname "$0")"

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$P4C" --arch v1model "${include[@]}" --p4runtime-files "$out/p4info.txt" -o "$out/bmv2.json" fabric_tna.p4
# The suffix tells p4c the format; the text format's own suffix is another one.
cp "$out/p4info.txt" p4info.txtpb
sha256sum fabric_tna.p4 >SOURCE.sha256
