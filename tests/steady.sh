#!/bin/bash
# What receiving costs in the steady state: system calls a datagram (strace -c), and where the time goes
# (perf). A sender and `mcscope watch` in two network namespaces joined by a veth pair; nothing leaves them.
#
#   tests/steady.sh [RATE [SECONDS [WATCH-OPTION...]]]     default: 20000 10
#   tests/steady.sh 20000 10 --capture ring
#
#   MCSCOPE   the program (target/release/mcscope)
#
# Needs root, ip and strace; perf and its table only where it is installed. The first second, in which the
# program starts and joins, is not in the figures: strace and perf come later. Under strace each system
# call costs many times what it costs otherwise, so that more datagrams gather for each: the figures are
# counts, not times. Exit 0, or 3 when something is missing.
set -euo pipefail
cd "$(dirname "$0")/.."
rate=${1:-20000} seconds=${2:-10}
shift $(($# < 2 ? $# : 2))
program=${MCSCOPE:-target/release/mcscope}
group=239.99.0.1 port=5004
cannot() { echo "steady: $*" >&2; exit 3; }

[ "$(id -u)" = 0 ] || cannot "needs root, for network namespaces"
[ -x "$program" ] || cannot "no $program: cargo build --release"
command -v ip strace >/dev/null || cannot "needs ip (iproute2) and strace"
[[ $rate =~ ^[0-9]+$ && $seconds =~ ^[0-9]+$ ]] || cannot "RATE and SECONDS are numbers"
[ "$seconds" -le 120 ] && [ "$rate" -le 1000000 ] || cannot "at most 120 s and 1000000 datagrams a second"

here=steady-$$-a there=steady-$$-b
out=$(mktemp -d)
cleanup() {
  kill $(jobs -p) 2>/dev/null || true
  wait 2>/dev/null || true
  ip netns del "$here" 2>/dev/null || true
  ip netns del "$there" 2>/dev/null || true
  rm -rf "$out"
}
trap cleanup EXIT
ip netns add "$here"
ip netns add "$there"
ip -n "$here" link add va type veth peer name vb netns "$there"
ip -n "$here" addr add 10.99.0.1/24 dev va
ip -n "$there" addr add 10.99.0.2/24 dev vb
for end in "$here va" "$there vb"; do
  ip -n "${end% *}" link set lo up
  ip -n "${end% *}" link set "${end#* }" up
done

# observe TITLE COMMAND...: runs a fresh watch and sender, and the command with the watch's PID behind it.
observe() {
  local title=$1 watch sender
  shift
  echo "== $title"
  ip netns exec "$here" "$program" watch "$group%va:$port" --format json --stats-only --no-resolve \
    "${options[@]}" >"$out/stats" 2>"$out/errors" &
  watch=$!
  sleep 1
  [ -d "/proc/$watch" ] || { cat "$out/errors" >&2; cannot "the watch ended"; }
  ip netns exec "$there" "$program" send "$group%vb:$port" --rate "$rate" --limit "$rate" \
    --duration "$((seconds + 3))s" --size 200 >/dev/null &
  sender=$!
  sleep 1
  "$@" "$watch" || true
  wait "$sender"
  kill -INT "$watch"
  wait "$watch" || true
  grep '"scope":"total"' "$out/stats" | tail -n 1 |
    grep -oE '"(packets|not_analysed|socket_drops|lag_p99_ns)":[0-9]+' | tr '\n' ' '
  echo
}

count_calls() {
  timeout -s INT "$seconds" strace -c -f -q -o "$out/strace" -p "$1" 2>/dev/null || true
  head -n 14 "$out/strace"
  awk -v sent=$((rate * seconds)) '$NF == "total" { printf "%.4f system calls a datagram\n", $4 / sent
    if ($4 == 0) print "nothing was counted" }' "$out/strace"
}

profile() {
  perf record -q -g -p "$1" -o "$out/perf" -- sleep "$seconds" >/dev/null 2>&1
  perf report -i "$out/perf" --no-children -g none --sort sym 2>/dev/null | grep -vE '^#|^$' | head -n 25
}

options=("$@")
observe "system calls, $rate datagrams a second for $seconds s" count_calls
if command -v perf >/dev/null; then
  observe "profile" profile
fi
