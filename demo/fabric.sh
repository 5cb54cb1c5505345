# The demo's network: namespaces, links and hosts, up and down. Sourced, not run.
#
# Every namespace is called pm-NAME. Switch ports are the switch's end of a veth pair, named like
# the ports in examples/leaf-spine. `pm-ctl` is the management network: the controllers live there,
# at 198.18.0.1 to .3, and a bridge joins it to the agents.

switches=(leaf1 leaf2 spine1 spine2)
hosts=(h1 h2 h3 h4)

declare -A device_id=([leaf1]=1 [leaf2]=2 [spine1]=3 [spine2]=4)
declare -A management=([leaf1]=198.18.0.11 [leaf2]=198.18.0.12 [spine1]=198.18.0.21 [spine2]=198.18.0.22)
declare -A ports=([leaf1]="1 2 49 50" [leaf2]="1 2 49 50" [spine1]="1 2" [spine2]="1 2")

declare -A vlan=([h1]=10 [h2]=10 [h3]=20 [h4]=30)
declare -A number=([h1]=11 [h2]=12 [h3]=13 [h4]=14)
gateway_mac=02:00:00:00:00:fe

# Fabrics run jumbo frames, and the XDP programs carry them (in fragments, since a page is smaller).
mtu=9000

address4() { echo "10.0.${vlan[$1]}.${number[$1]}"; }
address6() { echo "fd00:${vlan[$1]}::${number[$1]}"; }

# link NODE PORT NODE PORT
#
# No two interfaces have the same number, though they are in different namespaces: one end of a veth
# whose peer happens to have its own number looks like a physical device to Linux, which then holds
# back the news of a lost carrier for up to a second.
link() {
    ip link add name "$2" netns "pm-$1" index $((next_index++)) mtu "$mtu" type veth \
        peer name "$4" netns "pm-$3" index $((next_index++)) mtu "$mtu"
    ip -n "pm-$1" link set "$2" up
    ip -n "pm-$3" link set "$4" up
}
next_index=100

fabric_up() {
    local node address
    for node in ctl "${switches[@]}" "${hosts[@]}"; do
        ip netns add "pm-$node"
        ip -n "pm-$node" link set lo up
    done

    ip -n pm-ctl link add name management type bridge
    for address in 198.18.0.1 198.18.0.2 198.18.0.3; do
        ip -n pm-ctl addr add "$address/24" dev management
    done
    ip -n pm-ctl link set management up
    for node in "${switches[@]}"; do
        # The kernel of a switch says nothing of its own on the ports.
        in_ns "pm-$node" sysctl -qw net.ipv6.conf.default.disable_ipv6=1
        link "$node" mgmt0 ctl "$node"
        ip -n pm-ctl link set "$node" master management
        ip -n "pm-$node" addr add "${management[$node]}/24" dev mgmt0
    done

    link leaf1 swp49 spine1 swp1
    link leaf1 swp50 spine2 swp1
    link leaf2 swp49 spine1 swp2
    link leaf2 swp50 spine2 swp2
    link leaf1 swp1 h1 eth0
    link leaf1 swp2 h2 eth0
    link leaf2 swp1 h3 eth0
    link leaf2 swp2 h4 eth0
    for node in "${hosts[@]}"; do
        host_up "$node"
    done
}

# A host with one address of each family and a gateway that it knows the MAC of.
#
# Two things about XDP on a veth peer. Frames reach the switch's XDP program as they leave the
# host, so the host has to finish them: a checksum that is left to the "hardware" would be missing
# (tx off; segmentation by "hardware" needs it and goes off with it). And frames that XDP redirects
# to the host are received by NAPI, which a veth only has with GRO (or XDP) on: without, they are
# dropped silently.
host_up() {
    local host=$1 ns=pm-$1 family
    in_ns "$ns" ethtool -K eth0 tx off gro on >/dev/null
    in_ns "$ns" sysctl -qw net.ipv6.conf.default.accept_ra=0 net.ipv6.conf.eth0.accept_ra=0
    ip -n "$ns" link set eth0 address "02:00:00:00:00:0${host#h}"
    ip -n "$ns" addr add "$(address4 "$host")/24" dev eth0
    ip -n "$ns" addr add "$(address6 "$host")/64" dev eth0 nodad
    for family in "10.0.${vlan[$host]}.1" "fd00:${vlan[$host]}::1"; do
        ip -n "$ns" neigh replace "$family" lladdr "$gateway_mac" dev eth0 nud permanent
        ip -n "$ns" route replace default via "$family" dev eth0
    done
}

# A second path from h1 to h3, through the same namespaces as leaf1 - spine1 - leaf2 but of bare
# Linux bridges with every offload at its default: what the fabric's throughput is compared with.
bridges_up() {
    local node
    link h1 ref0 leaf1 refdown
    link leaf1 refup spine1 refleaf1
    link spine1 refleaf2 leaf2 refup
    link leaf2 refdown h3 ref0
    for node in leaf1:refdown,refup spine1:refleaf1,refleaf2 leaf2:refup,refdown; do
        local ns=pm-${node%%:*} port
        ip -n "$ns" link add name refbridge mtu "$mtu" type bridge
        ip -n "$ns" link set refbridge up
        for port in ${node#*:}; do
            for port in ${port//,/ }; do ip -n "$ns" link set "$port" master refbridge; done
        done
    done
    ip -n pm-h1 addr add 10.99.0.1/24 dev ref0
    ip -n pm-h3 addr add 10.99.0.3/24 dev ref0
}

# Removes whatever there is of the network; fine with a half of it, or with none.
fabric_down() {
    local node
    for node in ctl "${switches[@]}" "${hosts[@]}"; do
        [ -e "/run/netns/pm-$node" ] || continue
        # A namespace lives on, nameless, as long as something runs in it.
        ip netns pids "pm-$node" | xargs --no-run-if-empty kill 2>/dev/null || true
        ip netns del "pm-$node"
    done
}

# Ends the processes and removes the network, whatever there is of both.
demo_down() {
    local node
    stop controller
    for node in "${switches[@]}"; do
        stop "$node"
    done
    fabric_down
}
