#!/usr/bin/env bash
# Runs a daemon in a folder of its own for as long as standard input stays open, and leaves nothing
# behind: however the test that holds the other end of the pipe dies, the pipe closes.
# Each line on standard input has the daemon killed as by an accident and started anew; KILLED is the
# answer, between the two. Usage: keep.sh FOLDER COMMAND...   The daemon's output goes to FOLDER/log.
set -uo pipefail
folder=$1
shift

# No descriptor of the tests may stay open in a daemon that outlives them.
start() {
    "$@" >>"$folder/log" 2>&1 </dev/null &
    daemon=$!
}
start "$@"

# The pipe closes when the test ends; the daemon ending first is seen by the test at its socket.
while read -r _; do
    kill -KILL "$daemon" 2>/dev/null
    wait "$daemon" 2>/dev/null
    echo KILLED
    start "$@"
done

kill -TERM "$daemon" 2>/dev/null
for _ in {1..100}; do
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.1
done
kill -KILL "$daemon" 2>/dev/null
wait "$daemon" 2>/dev/null

# Shims and container processes that the daemon left: all of them name the folder in their arguments.
for entry in /proc/[0-9]*; do
    [ "${entry#/proc/}" != $$ ] || continue
    if tr '\0' ' ' <"$entry/cmdline" 2>/dev/null | grep -qF -- "$folder/"; then
        kill -KILL "${entry#/proc/}" 2>/dev/null
    fi
done
for _ in 1 2 3; do
    grep -F " $folder/" /proc/self/mountinfo | cut -d' ' -f5 | sort -r | xargs -r -n1 umount -l 2>/dev/null
    rm -rf --one-file-system "$folder" 2>/dev/null && break
    sleep 0.3
done
