#!/usr/bin/env bash
# Installs what building, testing and the demo need from the distribution; does nothing if it is there.
#
#   demo/deps.sh build     a C compiler and headers for libbpf
#   demo/deps.sh demo      these, and what makes and uses network namespaces
#   demo/deps.sh test      these, what makes a Python environment for the independent client, lldpd and libfaketime
set -euo pipefail

# One line a need: a question that succeeds when it is met, and the Debian package that meets it.
needs=$(cat <<'EOF'
command -v gcc            | gcc
command -v make           | make
command -v pkg-config     | pkg-config
test -e /usr/include/libelf.h | libelf-dev
test -e /usr/include/zlib.h   | zlib1g-dev
test -e /usr/include/stdio.h  | libc6-dev
EOF
)
purpose=${1:?say what for: build, demo or test}
if [ "$purpose" != build ]; then
    needs+=$'\n'$(cat <<'EOF'
command -v ip             | iproute2
command -v ping           | iputils-ping
command -v ethtool        | ethtool
command -v iperf3         | iperf3
command -v nsenter        | util-linux
command -v sysctl         | procps
EOF
)
fi
if [ "$purpose" = test ]; then
    needs+=$'\n''python3 -c "import ensurepip" | python3-venv'
    needs+=$'\n''command -v lldpd | lldpd'
    # Sets the clocks of single processes.
    needs+=$'\n''ls /usr/lib/*/faketime/libfaketimeMT.so.1 | libfaketime'
fi

missing=()
while IFS='|' read -r question package; do
    eval "$question" >/dev/null 2>&1 || missing+=("${package// /}")
done <<<"$needs"
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "missing packages: ${missing[*]}" >&2
    echo "as root: apt-get install ${missing[*]}" >&2
    exit 1
fi
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
install=(apt-get install --yes --quiet --no-install-recommends "${missing[@]}")
"${install[@]}" >/dev/null 2>&1 || { apt-get update --quiet && "${install[@]}"; }
