#!/usr/bin/env bash
# The whole of Pointsman on one machine: four switches, four hosts, three controllers, real packets.
# Run by `make demo`. Exits 0 only if every step did what it says. KEEP=1 leaves it all up.
set -euo pipefail
cd "$(dirname "$0")/.."
source demo/lib.sh
source demo/fabric.sh
source demo/traffic.sh

profile=${PROFILE:-dev}
bin_dir=${CARGO_TARGET_DIR:-target}/$([ "$profile" = dev ] && echo debug || echo "$profile")
controllers=(c1 c2 c3)
declare -A controller=([c1]=198.18.0.1 [c2]=198.18.0.2 [c3]=198.18.0.3)
# Any of them is asked: what one does not know by itself it asks another.
apis=198.18.0.1:9700,198.18.0.2:9700,198.18.0.3:9700
# How much of a Linux bridge's throughput the fabric has to reach.
least_share=0.33

pointsman() { in_ns pm-ctl "$bin_dir/pointsman" --controller "$apis" "$@"; }

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

It is all still up. To look at it (in the management network, where the controllers are):

  alias pm="nsenter --net=/run/netns/pm-ctl $(realpath "$bin_dir")/pointsman --controller $apis"
  pm status
  pm cluster status
  pm get objectives
  pm get tables
  nsenter --net=/run/netns/pm-h1 ping 10.0.20.13
  nsenter --net=/run/netns/pm-leaf1 ip -s link show dev swp49
  tail -f $(realpath "$log_dir")/leaf1.log

make demo-down removes it.
EOF
}

# settings_of CONTROLLER: what all its commands are told.
settings_of() {
    echo --node-name "$1" --listen "${controller[$1]}:9700" --peer-listen "${controller[$1]}:9701" \
        --data-dir "$run_dir/state/$1"
}

# The first makes the cluster; the others join it, each with a token of its own.
make_cluster() {
    local name settings
    for name in "${controllers[@]}"; do
        read -ra settings <<<"$(settings_of "$name")"
        if [ "$name" = c1 ]; then
            in_ns pm-ctl "$bin_dir/pointsman-controller" init "${settings[@]}" >>"$log_dir/$name.log" 2>&1
        else
            in_ns pm-ctl "$bin_dir/pointsman-controller" join "$(pointsman cluster add 2>>"$log_dir/c1.log")" "${settings[@]}" \
                >>"$log_dir/$name.log" 2>&1
        fi
        start_controller "$name"
        wait_for 20 "controller $name" serves "$name"
    done
}

start_controller() {
    local settings
    read -ra settings <<<"$(settings_of "$1")"
    start "$1" pm-ctl "$bin_dir/pointsman-controller" "${settings[@]}"
}

# serves CONTROLLER: it answers, and a majority with it.
serves() {
    in_ns pm-ctl "$bin_dir/pointsman" --controller "${controller[$1]}:9700" get nodes
}

# master_of SWITCH: the controller that writes it.
master_of() {
    # The agent names its master as well, after the device.
    pointsman get devices "$1" -o json | awk -F '"' '$2 == "master" && !seen++ { print $4 }'
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

step "starting ${#controllers[@]} controllers, and an agent in each switch"
for switch in "${switches[@]}"; do
    start_agent "$switch"
done
make_cluster
show cluster status
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

step "killing the controller that is master of leaf1 while hosts ping and a route is added"
victim=$(master_of leaf1)
say "$victim is master of leaf1"
stream_start
sleep 1
crash "$victim"
begun=$(date +%s%N)
printf 'device: leaf1\nobjectives:\n  - { forward: rack9, flag: specific, selector: { eth_type: ipv4, ipv4_dst: 10.9.0.0/24 }, next: spines }\n' \
    >"$run_dir/rack9.yaml"
show apply -f "$run_dir/rack9.yaml"
say "applied, and acknowledged by leaf1, $((($(date +%s%N) - begun) / 1000000)) ms after the kill"
sleep 1
stream_report
successor=$(master_of leaf1)
say "$successor is master of leaf1"
[ "$successor" != "$victim" ] || fail "leaf1 has no new master"
# It says that no other may be lost now, also by its exit code.
show cluster status || true
pointsman delete -f "$run_dir/rack9.yaml" >/dev/null
start_controller "$victim"
wait_for 20 "controller $victim" serves "$victim"

step "losing spine1 as a whole with all controllers dead: the leaves have only themselves"
for name in "${controllers[@]}"; do
    stop "$name"
done
stream_start
sleep 1
ip -n pm-spine1 link set swp1 down
ip -n pm-spine1 link set swp2 down
sleep 2
stream_report
ip -n pm-spine1 link set swp1 up
ip -n pm-spine1 link set swp2 up

step "killing leaf1's agent, the controllers still dead: it comes back with what it knew"
crash leaf1
start_agent leaf1
wait_for 20 "the ports of leaf1" ports_up leaf1
ping_pairs || fail "some hosts cannot reach each other after leaf1's agent was started again"
for name in "${controllers[@]}"; do
    start_controller "$name"
done
for name in "${controllers[@]}"; do
    wait_for 20 "controller $name" serves "$name"
done
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
