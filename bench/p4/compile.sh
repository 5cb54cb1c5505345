#!/usr/bin/env bash
# Compiles the programs of the P4Runtime conformance suite with stock p4c; only needed after changing one.
#
#   P4C=/path/to/p4c-bm2-ss [P4INCLUDE=/path/to/p4include] ./compile.sh
#
# For NAME.p4 it writes NAME/bmv2.json, NAME/p4info.txtpb and NAME/SOURCE.sha256, with which
# `cargo test -p pointsman-bench --test p4rt_programs` holds them to the source.
set -euo pipefail

: "${P4C:?set P4C to the p4c-bm2-ss to compile with}"
include=(${P4INCLUDE:+-I "$P4INCLUDE"})

# From here, so that the source paths inside the artefacts are relative.
cd "$(dirname "$0")"

for name in entities translation constraints; do
    out=$(mktemp -d)
    trap 'rm -rf "$out"' EXIT
    "$P4C" --arch v1model "${include[@]}" --Wdisable \
        --p4runtime-files "$out/p4info.txt" -o "$out/bmv2.json" "$name.p4"
    mkdir -p "$name"
    # The suffix tells p4c the format; the text format's own suffix is another one.
    cp "$out/p4info.txt" "$name/p4info.txtpb"
    cp "$out/bmv2.json" "$name/bmv2.json"
    sha256sum headers.p4 "$name.p4" >"$name/SOURCE.sha256"
    echo "$name: compiled with $("$P4C" --version 2>&1 | tail -n 1)"
done
