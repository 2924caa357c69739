# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# How the lab talks: one line a step, progress on long ones, and on failure the log's place and its end.

say() { printf 'lab: %s\n' "$*" >&2; }
die() { printf 'lab: error: %s\n' "$*" >&2; exit 1; }

# logged WHAT LOG COMMAND...: runs COMMAND with its output in LOG.  While it runs, says now and then how far the
# log has come; when it fails, shows the log's last lines and returns COMMAND's status.
logged() {
	local what=$1 log=$2 start=$SECONDS next=20 pid status=0
	shift 2

	mkdir -p "$(dirname "$log")"
	say "$what ..."
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.5
		if ((SECONDS - start >= next)); then
			say "$what: $((SECONDS - start)) s, $(wc -l <"$log") lines in $log"
			next=$((next + 30))
		fi
	done
	wait "$pid" || status=$?
	if ((status)); then
		say "$what failed with status $status after $((SECONDS - start)) s; the end of $log:"
		tail -n 25 "$log" >&2
	else
		say "$what: done in $((SECONDS - start)) s"
	fi
	return "$status"
}
