# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Suite selftests: what the kernel's own tests of KSM and THP say does not change with our hooks.  The programs of its
# tools/testing/selftests/mm run in a host with the unpatched kernel, in one with the lab kernel, and in one where each
# family's minimal policy is in force, and the last two are compared with the first.  What fails on the unpatched kernel
# as well is no failure of ours; it shows in the log of the comparison.

# "NAME PROGRAM ARGUMENTS", as run_vmtests.sh has them, without what needs two NUMA nodes.  There is no XFS either, so
# split_huge_page_test skips the splitting of page cache.
SELFTESTS="
ksm-functional ksm_functional_tests
ksm-merge ksm_tests -M -p 10
ksm-unmerge ksm_tests -U
ksm-zero-pages-off ksm_tests -Z -p 10 -z 0
ksm-zero-pages-on ksm_tests -Z -p 10 -z 1
ksm-merge-time ksm_tests -P -s 100
ksm-huge-pages-time ksm_tests -H -s 100
khugepaged khugepaged
khugepaged-mthp khugepaged -s 2
split-huge-page split_huge_page_test"

suite_selftests() {
	local name patched=$KERNEL_IMAGE programs=$RUN/selftests/programs
	local -a minimal=()
	say "suite selftests, in the nested host ($ACCEL)"
	packages_need libnuma-dev
	check "building the kernel's selftests" selftests_build "$programs" || return
	for name in "$BUILD"/tests/bpf/*-minimal.bpf.o; do minimal+=("$(basename "$name" .bpf.o)"); done

	kernel_build plain
	selftests_run plain
	KERNEL_IMAGE=$patched
	selftests_run lab
	selftests_run minimal "$BUILD/tests/host-kernel/under" "${minimal[@]}" --
	while read -r name _; do
		[ -n "$name" ] || continue
		check "$name on the lab kernel" selftest_same lab "$name"
		check "$name under ${minimal[*]}" selftest_same minimal "$name"
	done <<<"$SELFTESTS"
	for name in lab minimal; do
		check "the log of the host, $name" "$BUILD/tests/vm/kernel-log-check" "$RUN/selftests/$name/host.log"
	done
}

# selftests_build OUT: the programs, out of the tree, with the tree's own headers.
selftests_build() {
	local out=$1 tree src program
	tree=$(kernel_tree lab "$(kernel_source_version)") || return
	src=$tree/src/tools/testing/selftests/mm
	mkdir -p "$out/headers"
	make -s -C "$tree/src" O="$out/headers" ARCH=x86 headers || return
	while read -r program; do
		# Two mistakes in them decide by chance: a list of arguments without an end, and waiting for the pass of ksmd's
		# that is under way, which may be past the pages it is about.
		sed 's/, FORK_EXEC_CHILD_PRG_NAME };/, FORK_EXEC_CHILD_PRG_NAME, NULL };/; s/ksm_do_scan(1,/ksm_do_scan(2,/' \
			"$src/$program.c" >"$out/$program.c"
		# the flags of the folder's Makefile; khugepaged.c of 6.12 uses kselftest.h and forgets to include it, and before
		# that nothing may be included that _GNU_SOURCE changes
		gcc -O2 -U_FORTIFY_SOURCE -no-pie -D_GNU_SOURCE= -include "$src/../kselftest.h" -I "$src" -I "$tree/src" \
			-isystem "$out/headers/usr/include" -isystem "$tree/src/tools/include/uapi" -o "$out/$program" \
			"$out/$program.c" "$src/vm_util.c" "$src/thp_settings.c" -lnuma -lrt -lpthread -lm || return
	done < <(awk 'NF { print $2 }' <<<"$SELFTESTS" | sort -u)
	rm -r "$out/headers"
}

# selftests_run COLUMN [COMMAND...]: all of them on KERNEL_IMAGE, each run by COMMAND.
selftests_run() {
	local column=$1 run=$RUN/selftests/$1
	shift
	say "  $column: running on $(basename "$KERNEL_IMAGE")"
	mkdir -p "$run"
	# where the host looks for it; no guests run in this one, so it may have two CPUs under emulation, too
	printf '%s\n' "$SELFTESTS" >"$run/list"
	LAB_HOST_CPUS=2 host_run "$run" "$REPO/tests/lab/in-selftests" "$RUN/selftests/programs" "$@" \
		</dev/null >"$run/console.txt" 2>&1 || say "  the nested host's run ended with status $?"
}

# selftest_same COLUMN NAME: says the same as on the unpatched kernel, or what is different by contract.
selftest_same() {
	local column=$1 name=$2 plain=$RUN/selftests/plain/$2.txt here=$RUN/selftests/$1/$2.txt
	[ -f "$here" ] || { echo "did not run"; return 1; }
	if ! grep -qE '^ok |OK' "$plain"; then
		echo "nothing passed on the unpatched kernel, so that there is nothing to compare:"
		cat "$plain"
		return 1
	fi
	grep -E '^not ok|Fail|Timeout' "$plain" | sed 's/^/on the unpatched kernel, too: /'
	diff <(selftest_words "$plain" | selftest_contract "$column:$name") <(selftest_words "$here")
}

# What a program said, without what differs from run to run (colours, numbers, dots that stand for time), and without sums.
selftest_words() {
	sed -E 's/\x1b\[[0-9;]*m//g; s/.*\r//; s/[0-9]+/N/g; s/\.+/./g; s/ +/ /g' "$1" |
		grep -vE '^(# (Average speed|Total time|Totals):|Bail out! N out of N tests failed)'
}

# selftest_contract COLUMN:NAME: makes of what the unpatched kernel says what is to be said here.
selftest_contract() {
	case $1 in
	# Who has a domain does not use the zero page, which is everybody's (host-kernel/README.md, "Family ksm"): pages of
	# zeroes are merged like others, and the two tests that look for zero pages find none.
	minimal:ksm-functional)
		sed "s/^ok N KSM zero pages were unmerged/not ok N 'ksm_zero_pages' updated after merging/
			s/^ended well/ended with an error/" ;;
	minimal:ksm-zero-pages-on)
		sed "s/^ok N KSM zero page merging/not ok N KSM zero page merging/; s/^ended well/ended with an error/" ;;
	*) cat ;;
	esac
}
