#!/usr/bin/env bash
# The whole of Pointsman on one machine: four switches, four hosts, a controller, real packets.
# Run by `make demo`. Exits 0 only if every step did what it says. KEEP=1 leaves it all up.
set -euo pipefail
cd "$(dirname "$0")/.."
source demo/lib.sh
source demo/fabric.sh
source demo/traffic.sh

profile=${PROFILE:-dev}
bin_dir=${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")
controller=198.18.0.1:9700
# How much of a Linux bridge's throughput the fabric has to reach.
least_share=0.33

pointsman() { in_ns pm-ctl "$bin_dir/pointsman" --controller "$controller" "$@"; }

# show COMMAND...: of pointsman, with what it prints.
show() {
    say "\$ pointsman $*"
    pointsman "$@" 2>&1 | sed 's/^/             /'
}

on_exit() {
    local code=$?
    trap - EXIT
    if [ "$code" -ne 0 ]; then
        show_logs >&2
    fi
    if [ "${KEEP:-}" = 1 ]; then
        how_to_look
    else
        demo_down
    fi
    exit "$code"
}

show_logs() {
    local log
    for log in "$log_dir"/*.log; do
        printf '\n--- the end of %s\n' "$log"
        tail -n 15 "$log"
    done
}

how_to_look() {
    cat <<EOF

It is all still up. To look at it (in the management network, where the controller is):

  alias pm="nsenter --net=/run/netns/pm-ctl $(realpath "$bin_dir")/pointsman --controller $controller"
  pm status
  pm get objectives
  pm get tables
  nsenter --net=/run/netns/pm-h1 ping 10.0.20.13
  nsenter --net=/run/netns/pm-leaf1 ip -s link show dev swp49
  tail -f $(realpath "$log_dir")/leaf1.log

make demo-down removes it.
EOF
}

start_controller() {
    start controller pm-ctl "$bin_dir/pointsman-controller" --bootstrap --listen "$controller" --data-dir "$run_dir/state/controller"
}

start_agent() {
    local name=$1 port port_flags=()
    for port in ${ports[$name]}; do
        port_flags+=(--port "$port=swp$port")
    done
    start "$name" "pm-$name" "$bin_dir/pointsman-agent" \
        --name "$name" --device-id "${device_id[$name]}" --listen "${management[$name]}:9559" \
        --insecure --pins none --state-dir "$run_dir/state/$name" "${port_flags[@]}"
}

# ports_up SWITCH: its agent answers and has all its ports.
ports_up() {
    local wanted
    wanted=$(wc -w <<<"${ports[$1]}")
    [ "$(in_ns pm-ctl "$bin_dir/pointsman" --agent "${management[$1]}:9559" get ports | grep -c ' up ')" -eq "$wanted" ]
}

all_applied() {
    pointsman status | grep -q '^all is as wanted'
}

# Ends the stream and says what was lost of it; at most one ping in ten may be.
stream_report() {
    local sent lost
    stream_stop
    say "$sent pings sent over 8 flows, $lost lost"
    [ "$sent" -gt 0 ] && [ $((lost * 10)) -lt "$sent" ] || fail "traffic did not carry on"
}

thousand_routes() {
    local i
    printf 'device: leaf1\nobjectives:\n'
    for i in $(seq 0 999); do
        printf '  - { forward: route-%d, flag: specific, selector: { eth_type: ipv4, ipv4_dst: 10.%d.%d.0/24 }, next: spines }\n' \
            "$i" $((100 + i / 250)) $((i % 250))
    done
}

[ "$(id -u)" -eq 0 ] || fail "network namespaces and XDP need root"

step "building (profile $profile)"
cargo build --workspace --bins --profile "$profile"

only_one
step "clearing what an earlier run left"
demo_down
rm -rf "$run_dir"
mkdir -p "$log_dir"
trap on_exit EXIT
trap 'exit 130' INT TERM

step "making the network: ${#switches[@]} switches, ${#hosts[@]} hosts, MTU $mtu"
fabric_up

step "starting a controller, and an agent in each switch"
start_controller
for switch in "${switches[@]}"; do
    start_agent "$switch"
done
wait_for 20 "the controller" pointsman get nodes
for switch in "${switches[@]}"; do
    wait_for 20 "the ports of $switch" ports_up "$switch"
done

step "applying examples/leaf-spine"
show apply -f examples/leaf-spine
show status

step "pinging: every host from every other, IPv4 and IPv6"
ping_pairs || fail "some hosts cannot reach each other"

step "what the switches hold"
show get objectives leaf1
show get ports
show get tables

step "applying a file with a mistake"
printf 'device: leaf1\nobjectives:\n  - forward: rack2\n    flag: specific\n    selector: { eth_type: ipv4, ipv4_dst: 10.0.2.0/24 }\n    next: spins\n' \
    >"$run_dir/mistake.yaml"
if show apply -f "$run_dir/mistake.yaml"; then
    fail "a file with a mistake was applied"
fi

step "applying a thousand routes from one file"
thousand_routes >"$run_dir/routes.yaml"
begun=$(date +%s%N)
show apply -f "$run_dir/routes.yaml"
say "applied, and acknowledged by leaf1, in $((($(date +%s%N) - begun) / 1000000)) ms"
applied=$(pointsman get objectives leaf1 | grep -c ' route-[0-9]* *applied ' || true)
say "$applied of them are shown as applied"
[ "$applied" -eq 1000 ] || fail "not all of a thousand routes are applied"
pointsman delete -f "$run_dir/routes.yaml" >/dev/null

step "taking the link between leaf1 and spine1 down while hosts of the two racks ping each other"
# leaf1 sees its port go down and takes the other by itself. leaf2 cannot see that link: what it
# sends by spine1 is lost until its `spines` has no bucket for it any more, which in a network with
# a routing protocol an application would tell it, and here does the file that drains spine1.
stream_start
sleep 1
ip -n pm-leaf1 link set swp49 down
show apply -f examples/leaf-spine-drain
sleep 2
stream_report
ping_pairs || fail "some hosts cannot reach each other without the link"
ip -n pm-leaf1 link set swp49 up
pointsman apply -f examples/leaf-spine >/dev/null
say "the link is up, spine1 in use again"

step "losing spine1 as a whole with the controller dead: the leaves have only themselves"
stop controller
stream_start
sleep 1
ip -n pm-spine1 link set swp1 down
ip -n pm-spine1 link set swp2 down
sleep 2
stream_report
ip -n pm-spine1 link set swp1 up
ip -n pm-spine1 link set swp2 up

step "killing leaf1's agent, the controller still dead: it comes back with what it knew"
crash leaf1
start_agent leaf1
wait_for 20 "the ports of leaf1" ports_up leaf1
ping_pairs || fail "some hosts cannot reach each other after leaf1's agent was started again"
start_controller
wait_for 20 "the controller" pointsman get nodes
wait_for 20 "every objective" all_applied
show status

step "one TCP stream from h1 to h3, against Linux bridges between the same namespaces"
bridges_up
fabric=0 bridge=0
for round in 1 2 3; do
    rate=$(tcp_stream h1 h3 "$(address4 h3)" 3)
    fabric=$((rate > fabric ? rate : fabric))
    reference=$(tcp_stream h1 h3 10.99.0.3 3)
    bridge=$((reference > bridge ? reference : bridge))
    say "round $round: fabric $rate Mbit/s, bridges $reference Mbit/s"
done
share=$(awk -v f="$fabric" -v b="$bridge" 'BEGIN { printf "%.2f", b ? f / b : 0 }')
say "best of three: fabric $fabric, bridges $bridge Mbit/s: $share of the bridges"
say "both: MTU $mtu, one stream; hosts on the fabric segment and checksum in software, on the bridges"
say "all offloads are at their default, so 64 kB frames travel whole"
awk -v s="$share" -v l="$least_share" 'BEGIN { exit !(s >= l) }' || fail "less than $least_share of the bridges"

step "done: everything worked"
