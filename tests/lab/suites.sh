# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Runs test programs and counts what they say.  A test is a program that meson knows and that speaks TAP; the suite it
# belongs to says where it runs: those of SUITES_HOST in the nested host, others directly on this machine, libvirt in
# both.  SUITES_LONG run when they are named, or with --long.

SUITES_HERE="patches style unit fuzz bpf install daemon vm stock libvirt"
SUITES_HOST="host host-kernel"
SUITES_LONG="selftests debug"

passed=0 failed=0 skipped=0

# userland_build: daemon, command line, policies and test programs, into BUILD.
userland_build() {
	if [ ! -f "$BUILD/build.ninja" ]; then
		logged "configuring memtide" "$CACHE/logs/meson.log" meson setup "$BUILD" "$REPO" || exit 1
	fi
	logged "compiling memtide" "$CACHE/logs/ninja.log" ninja -C "$BUILD" || exit 1
}

# The tests of suite $1: "NAME<tab>PROGRAM ARGUMENTS..." a line.
suite_tests() {
	meson introspect --tests "$BUILD" |
		jq -r --arg suite "$1" '.[] | select(.suite | any(. == $suite or endswith(":" + $suite))) |
			[.name, (.cmd | @sh)] | @tsv' | sort
}

# count_tap FILE STATUS NAME: adds FILE's results; a program that dies without a plan is a failure of its own.
count_tap() {
	local file=$1 status=$2 name=$3 ok not_ok skip
	# cmocka up to 1.1.5 calls a skipped test "not ok ... # SKIP"
	skip=$(grep -cE '^(not )?ok .*# *SKIP' "$file")
	ok=$(grep -E '^ok ' "$file" | grep -vcE '# *SKIP')
	not_ok=$(grep -E '^not ok ' "$file" | grep -vcE '# *SKIP')
	if ((status != 0 && not_ok == 0)); then
		not_ok=1
		say "$name ended with status $status"
	elif ((ok + not_ok + skip == 0)); then
		not_ok=1
		say "$name ran no test"
	fi
	passed=$((passed + ok)) failed=$((failed + not_ok)) skipped=$((skipped + skip))
	if ((not_ok)); then
		say "FAILED: $name ($file):"
		grep -vE '^ok [0-9]+ - [^#]*$' "$file" | tail -n 40 >&2
	else
		if ((skip)); then
			say "  $name: $ok passed, $skip skipped, because:"
		else
			say "  $name: $ok passed"
		fi
		((skip == 0)) || grep -vE '^(ok|not ok|1\.\.|# (not )?ok)' "$file" | sed 's/^/    /' >&2
	fi
}

# run_program LOG TIMEOUT COMMAND-LINE
run_program() {
	local status=0
	CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 10 "$2" bash -c "exec $3" >"$1" 2>&1 </dev/null || status=$?
	[ "$status" != 124 ] || echo "not ok 0 - no end within $2 s" >>"$1"
	return "$status"
}

lab_environment() {
	export LAB_QEMU=$QEMU_IMAGE/qemu-system-x86_64 LAB_KERNEL=$KERNEL_IMAGE/bzImage LAB_INITRD=$INITRD
	export LAB_FIRMWARE=/usr/share/seabios:/usr/share/qemu LAB_BUILD=$BUILD
	export LAB_ACCEL=$ACCEL LAB_CPU
	LAB_CPU=$(accel_cpu)
	LAB_RELEASE=$(cat "$KERNEL_IMAGE/release")
	LAB_QEMU_VERSION=$("$LAB_QEMU" --version | awk 'NR == 1 { print $4 }')
	export LAB_RELEASE LAB_QEMU_VERSION
}

# run_suite SUITE: on this machine, or wherever this shell runs.
run_suite() {
	local suite=$1 name command status log tests
	tests=$(suite_tests "$suite")
	say "suite $suite"
	[ -n "$tests" ] || say "  no tests"
	while IFS=$'\t' read -r name command; do
		[ -n "$name" ] || continue
		log=$RUN/$suite-$name.tap
		export LAB_LOGS=$RUN/$suite-$name
		mkdir -p "$LAB_LOGS"
		status=0
		run_program "$log" "${LAB_TEST_TIMEOUT:-900}" "$command" || status=$?
		count_tap "$log" "$status" "$name"
	done <<<"$tests"
}

# apart COMMAND...: runs a suite in a shell of its own, since it may use another kernel, or die.
apart() {
	local counts=$RUN/counts
	rm -f "$counts"
	("$@"; echo "$passed $failed $skipped" >"$counts")
	if [ -f "$counts" ]; then
		read -r passed failed skipped <"$counts"
	else
		failed=$((failed + 1))
	fi
}

# suites_in_host SUITE...: inside the nested host, which says what it does as it does it; its counts come back in a file.
suites_in_host() {
	local suite limit=2400
	[ -z "${LAB_LONG:-}" ] || limit=14400
	limit=${LAB_HOST_TIMEOUT:-$limit}
	for suite in "$@"; do
		say "suite $suite, in the nested host ($ACCEL)"
		mkdir -p "$RUN/host"
		rm -f "$RUN/host/counts"
		HOST_LIMIT_S=$limit host_run "$RUN/host" "$REPO/tests/lab/in-host" suite "$suite" <"/dev/null" |
			tee "$RUN/host/console.txt" | sed -u 's/\r$//' >&2 ||
			say "the nested host's run ended with status ${PIPESTATUS[0]}"
		if [ -f "$RUN/host/counts" ]; then
			# shellcheck disable=SC2046
			set -- $(cat "$RUN/host/counts")
			passed=$((passed + $1)) failed=$((failed + $2)) skipped=$((skipped + $3))
		else
			failed=$((failed + 1))
		fi
		if ! "$BUILD/tests/vm/kernel-log-check" "$RUN/host/host.log" >&2; then
			say "FAILED: the host's kernel complained"
			failed=$((failed + 1))
		fi
	done
}
