# The demo's traffic: pings between hosts and TCP streams, with what became of them. Sourced, not run.

# Each ordered pair of hosts and an address of the second, one a line: FROM TO ADDRESS.
pairs() {
    local from to
    for from in "${hosts[@]}"; do
        for to in "${hosts[@]}"; do
            [ "$from" != "$to" ] || continue
            echo "$from $to $(address4 "$to")"
            echo "$from $to $(address6 "$to")"
        done
    done
}

# ping_pairs: every pair at once, three pings each; prints a line per host and fails if one is lost.
ping_pairs() {
    local from to address results=$run_dir/pings
    rm -rf "$results" && mkdir -p "$results"
    while read -r from to address; do
        background "pm-$from" ping -n -q -c 3 -i 0.2 -W 2 "$address" >"$results/$from $to $address" 2>&1 &
    done < <(pairs)
    # Exit codes say less than the summaries, which are read below.
    wait_children

    local lost=0 file
    for from in "${hosts[@]}"; do
        local line="$from ->"
        for file in "$results/$from "*; do
            read -r _ to address <<<"${file##*/}"
            if grep -q ' 0% packet loss' "$file"; then
                line+=" $address ok"
            else
                line+=" $address LOST"
                lost=$((lost + 1))
            fi
        done
        say "$line"
    done
    [ "$lost" -eq 0 ] || return 1
}

# wait_children: for the pings of this shell, and not for agents and controller.
wait_children() {
    local pid
    for pid in $(jobs -rp); do
        grep -qz '^ping$' "/proc/$pid/cmdline" 2>/dev/null || continue
        wait "$pid" || true
    done
}

# stream_start: pings between the racks, 50 a second per flow and family, until `stream_stop`.
stream_start() {
    local from to address
    rm -rf "$run_dir/stream" && mkdir -p "$run_dir/stream"
    for from in h1 h2; do
        for to in h3 h4; do
            for address in "$(address4 "$to")" "$(address6 "$to")"; do
                background "pm-$from" ping -n -q -i 0.02 -W 1 "$address" >"$run_dir/stream/$from $to $address" 2>&1 &
            done
        done
    done
}

# stream_stop: ends them, and leaves the sums over all flows in `sent` and `lost`. In this shell and
# not in one that substitution would make, which could not wait for the pings.
stream_stop() {
    local pid
    for pid in $(jobs -rp); do
        grep -qz '^ping$' "/proc/$pid/cmdline" 2>/dev/null && kill -INT "$pid"
    done
    wait_children
    sent=$(awk '/packets transmitted/ { sum += $1 } END { print sum + 0 }' "$run_dir/stream/"*)
    lost=$(awk '/packets transmitted/ { sum += $1 - $4 } END { print sum + 0 }' "$run_dir/stream/"*)
}

# tcp_stream FROM TO ADDRESS SECONDS: one iperf3 stream, its goodput in Mbit/s.
tcp_stream() {
    local port=5201 report=$run_dir/iperf3.json
    in_ns "pm-$2" iperf3 --server --one-off --daemon --port "$port" >/dev/null 9>&-
    wait_for 5 "iperf3 server" iperf_listens "$2" "$port"
    in_ns "pm-$1" iperf3 --client "$3" --port "$port" --time "$4" --json >"$report"
    # With --json it reports errors in the document and exits with 0.
    awk -F '[:,]' '
        /"error"/ { print "iperf3: " $0 > "/dev/stderr"; exit }
        /"sum_received"/ { found = 1 }
        found && /bits_per_second/ { printf "%d\n", $2 / 1000000; done = 1; exit }
        END { exit !done }' "$report"
}

iperf_listens() {
    in_ns "pm-$1" ss --no-header --listening --tcp --numeric "sport = :$2" | grep -q LISTEN
}
