#!/bin/sh
# Runs one attempt at a job, and writes down how it ended.
# Usage: setsid supervise.sh JOB_DIR NUMBER WALLTIME_SECONDS COMMAND...
# The folder of the attempt is its lock: whoever comes later to the same number leaves at once.
job_dir=$1 run=$1/run.$2 walltime=$3
shift 3
mkdir "$run" 2>/dev/null || exit 0
write() { echo "$2" >"$run/.$1.tmp" && mv "$run/.$1.tmp" "$run/$1"; }
if [ -e "$job_dir/cancelled" ]; then
    write exit_code 143
    exit 0
fi
trap 'kill -TERM "$child" 2>/dev/null' TERM
timeout --foreground --kill-after=10 "$walltime" "$@" >"$run/stdout.log" 2>"$run/stderr.log" &
child=$!
# Only now: who knows the pid may send a signal, and it has to reach the payload.
write pid "$$ $(cut -d' ' -f22 "/proc/$$/stat")"
wait "$child"
code=$?
# A trapped signal interrupts the first wait; the child may still be writing its checkpoint.
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
done
write exit_code "$code"
kill -KILL 0 # whatever the payload left behind in this session
