# Steps, processes and waiting, for the demo's scripts. Sourced, not run.

# What the demo leaves behind, all of it below the build directory: logs, process ids, state.
run_dir=${CARGO_TARGET_DIR:-target}/demo
log_dir=$run_dir/logs
started=$(date +%s.%N)
# Logs are read in files, too.
export NO_COLOR=1

elapsed() { awk -v a="$started" -v b="$(date +%s.%N)" 'BEGIN { printf "%5.1fs", b - a }'; }

step_number=0
step() {
    step_number=$((step_number + 1))
    printf '\n[%s] %2d. %s\n' "$(elapsed)" "$step_number" "$*"
}

say() { printf '             %s\n' "$*"; }

fail() {
    printf '\n[%s] FAILED: %s\n' "$(elapsed)" "$*" >&2
    exit 1
}

# One demo at a time: they would take each other's namespaces away.
only_one() {
    exec 9>/run/pointsman-demo.lock
    flock --nonblock 9 && return
    say "another demo is running on this machine; waiting for it to end"
    flock --timeout 600 9 || fail "another demo is running on this machine"
}

# in_ns NAMESPACE COMMAND...: run it with that network, but with this file system. (`ip netns exec`
# would remount /sys and hide what is mounted below it, the BPF file system for one.)
in_ns() {
    local namespace=$1
    shift
    nsenter --net="/run/netns/$namespace" "$@"
}

# background NAMESPACE COMMAND... &: the same, in place of the subshell that `&` makes: `$!` is the
# process id of the command itself.
background() {
    local namespace=$1
    shift
    exec nsenter --net="/run/netns/$namespace" "$@"
}

# start NAME NAMESPACE COMMAND...: in the background, its output in a log, its process id in a file.
start() {
    local name=$1 namespace=$2
    shift 2
    # Without the lock of `only_one`: what KEEP=1 leaves running does not keep others from starting.
    background "$namespace" "$@" >>"$log_dir/$name.log" 2>&1 </dev/null 9>&- &
    echo $! >"$run_dir/$name.pid"
}

# stop NAME: ends what `start` started under that name, in this run or an earlier one.
stop() {
    local file=$run_dir/$1.pid pid
    [ -e "$file" ] || return 0
    pid=$(cat "$file")
    rm -f "$file"
    # The number may have gone to another process since: look before shooting.
    grep -qz pointsman "/proc/$pid/cmdline" 2>/dev/null || return 0
    kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 50); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$pid" 2>/dev/null || true
}

# crash NAME: ends what `start` started in this run without letting it clean up.
crash() {
    local pid
    pid=$(cat "$run_dir/$1.pid")
    kill -9 "$pid"
    { wait "$pid" || true; } 2>/dev/null
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds.
wait_for() {
    local seconds=$1 what=$2 deadline
    shift 2
    deadline=$(($(date +%s) + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$(date +%s)" -lt "$deadline" ] || fail "$what: not within $seconds s"
        sleep 0.1
    done
}
