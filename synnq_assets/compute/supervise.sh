#!/bin/sh
# Runs one job once, and writes down how it ended. Usage: supervise.sh JOB_DIR COMMAND...
# The lock makes a second start harmless: whoever comes later leaves at once.
job_dir=$1
shift
mkdir "$job_dir/run.lock" 2>/dev/null || exit 0
echo "$$ $(cut -d' ' -f22 "/proc/$$/stat")" >"$job_dir/.pid.tmp" && mv "$job_dir/.pid.tmp" "$job_dir/pid"
trap 'kill -TERM "$child" 2>/dev/null' TERM
"$@" >"$job_dir/stdout.log" 2>"$job_dir/stderr.log" &
child=$!
wait "$child"
code=$?
# A trapped signal interrupts the first wait; the child may still be writing its checkpoint.
while kill -0 "$child" 2>/dev/null; do
    wait "$child"
    code=$?
done
echo "$code" >"$job_dir/.exit.tmp" && mv "$job_dir/.exit.tmp" "$job_dir/exit_code"
