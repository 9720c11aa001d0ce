#!/usr/bin/env bash
# What a cloud of three nodes at rest costs: CPU, wake-ups and memory of each node over some time.
#
#   cargo build --release -p distri --features services
#   benches/idle.sh [PROGRAM [SECONDS]]        # target/release/distri, 60
#
# CPU is user and system time of the process, wake-ups are voluntary context switches of all its
# threads, both from /proc. Nothing else should run meanwhile.
set -euo pipefail

program=$(realpath "${1:-target/release/distri}")
seconds=${2:-60}
folder=$(mktemp -d)
nodes=()
trap 'kill "${nodes[@]}" 2>/dev/null || true; rm -rf "$folder"' EXIT

start() {
    (cd "$folder/$1" && exec "$program" node >out 2>log) &
    nodes+=($!)
    until grep -q @ "$folder/$1/out" 2>/dev/null; do sleep 0.1; done
}

mkdir "$folder/one" "$folder/two" "$folder/three"
port=$((20000 + RANDOM % 10000))
(cd "$folder/one" && "$program" init --listen "127.0.0.1:$port" --name one >/dev/null 2>&1)
start one
for name in two three; do
    port=$((port + 1))
    until token=$(cd "$folder/one" && "$program" token 2>/dev/null); do sleep 0.2; done
    (cd "$folder/$name" && echo "$token" | "$program" join - --listen "127.0.0.1:$port" --name "$name" >/dev/null 2>&1)
    start "$name"
done
# Until all three vote and have settled.
until [ "$(cd "$folder/one" && "$program" nodes --json | grep -o '"state":"ready"' | wc -l)" = 3 ]; do
    sleep 0.2
done
sleep 10

ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }
switches() { cat /proc/"$1"/task/*/status | awk '/^voluntary/ { sum += $2 } END { print sum }'; }

for pid in "${nodes[@]}"; do
    before_ticks[pid]=$(ticks "$pid")
    before_switches[pid]=$(switches "$pid")
done
sleep "$seconds"
printf '%-8s %14s %12s %10s %10s %8s\n' node 'CPU, % of core' 'wake-ups/s' 'RSS MiB' 'anon MiB' threads
sum=0
for pid in "${nodes[@]}"; do
    cpu=$((($(ticks "$pid") - before_ticks[pid]) * 100 * 100 / $(getconf CLK_TCK) / seconds))
    woken=$((($(switches "$pid") - before_switches[pid]) / seconds))
    awk -v node="$(basename "$(readlink "/proc/$pid/cwd")")" -v cpu="$cpu" -v woken="$woken" '
        /^VmRSS/ { rss = $2 } /^RssAnon/ { anon = $2 } /^Threads/ { threads = $2 }
        END { printf "%-8s %14.2f %12d %10.1f %10.1f %8d\n", node, cpu / 100, woken, rss / 1024, anon / 1024, threads }
    ' "/proc/$pid/status"
    sum=$((sum + cpu))
done
awk -v sum="$sum" 'BEGIN { printf "%-8s %14.2f\n", "all", sum / 100 }'
