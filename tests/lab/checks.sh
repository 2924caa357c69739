# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Checks of the sources themselves: kernel style, and what must not be in the repository.

check() { # NAME COMMAND...
	local name=$1 log=$RUN/check-${1// /-}.txt
	shift
	if "$@" >"$log" 2>&1; then
		passed=$((passed + 1))
		say "  $name: passed"
	else
		failed=$((failed + 1))
		say "FAILED: $name"
		tail -n 30 "$log" >&2
	fi
}

check_style() {
	local tree
	say "suite style"
	tree=$(kernel_tree lab "$(kernel_source_version)")
	check "checkpatch" style_checkpatch "$tree"
	check "sparse" style_sparse "$tree"
	check "spdx lines" style_spdx
	check "nothing private" style_private
}

style_checkpatch() ( # TREE
	local file ignore bad=0

	cd "$RUN" || return	# it leaves a file where it is run
	while read -r file; do
		# page flags are in camel case, and trace headers have a style of their own
		ignore=FILE_PATH_CHANGES,CAMELCASE
		[[ $file != */trace.h && $file != */trace/events/* ]] || ignore+=,OPEN_ENDED_LINE,PARENTHESIS_ALIGNMENT,TRAILING_SEMICOLON
		"$1/src/scripts/checkpatch.pl" --no-tree --strict --terse --no-summary --max-line-length=100 \
			--ignore "$ignore" -f "$file" || bad=1
	done < <(find "$REPO/guest-kernel" "$REPO/host-kernel" -name '*.[ch]')
	return "$bad"
)

style_sparse() {
	local log=$RUN/sparse.log
	touch "$1"/src/drivers/virtio/tide/*.c "$1"/src/mm/tide/*.c "$1"/src/mm/ksm.c
	kernel_make "$1" C=1 W=1 drivers/virtio/tide/ mm/tide/ mm/ksm.o >"$log" 2>&1 || { cat "$log"; return 1; }
	# mm/ksm.c has warnings of its own
	! grep -E '(virtio|mm)/tide.*(warning|error):|tide[_a-z]*\.h.*(warning|error):' "$log"
}

# git knows which files are ours.
style_files() { git -C "$REPO" ls-files; }

style_spdx() {
	local file bad=0
	while read -r file; do
		case $file in
		LICENSE | *.md | *.patch | .gitignore | *.o | *.xml | *.conf | *.config | *.json) continue ;;
		esac
		head -n 3 "$REPO/$file" | grep -q 'SPDX-License-Identifier:' || { echo "no SPDX line: $file"; bad=1; }
	done < <(style_files)
	return "$bad"
}

style_private() {
	local bad=0
	# compiled policies of earlier releases are test data
	style_files | grep -v '^tests/bpf/released/' | grep -E '(^|/)vmlinux\.h$|\.(o|ko|so|deb|img)$' && bad=1
	(cd "$REPO" && git grep -nE 'https?://[a-z0-9.-]*(debian\.org|mirror)' -- ':!LICENSE' ':!*.md') && bad=1
	return "$bad"
}
