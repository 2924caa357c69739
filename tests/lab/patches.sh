# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# Suite patches: do our patches apply, without fuzz, to every point release of the kernel and of QEMU that Debian 12 and 13
# have?  The trees that were built prove one each; of the others only the files that are patched are kept, in
# $CACHE/sources.

KERNEL_PATCHES=(guest-kernel/patches/6.12 host-kernel/patches/6.12)
QEMU_PATCHES=(vmm/qemu/patches/10.0)

check_patches() {
	local version
	say "suite patches"
	for version in $(qemu_source_version); do
		check_patches_on QEMU "$version" source_of_qemu "${QEMU_PATCHES[@]}"
	done
	archive_of_both_releases "$RUN/apt"
	for version in $(kernel_other_versions); do
		check_patches_on Linux "$version" source_of_kernel "${KERNEL_PATCHES[@]}"
	done
	rm -rf "$RUN/apt"
	check "patches on the kernel that was built" patches_applied "${KERNEL_PATCHES[@]}"
}

# check_patches_on NAME VERSION FETCH PATCH-DIR...: FETCH leaves the source's tar file in the folder where it is called.
check_patches_on() {
	local name=$1 version=$2 fetch=$3 log=$RUN/source-$1-${2#*:}.txt dir work
	shift 3
	# by the list of files, too: a patch that touches one more needs it from the source
	dir=$CACHE/sources/$name-${version#*:}-$(patched_files "$@" | sha256sum | cut -c1-8)
	if [ ! -d "$dir" ]; then
		mkdir -p "$CACHE/sources"
		work=$(mktemp -d "$CACHE/sources/.unpack.XXXXXX")
		mkdir "$work/src"
		if ! (cd "$work" && "$fetch" "$version") >"$log" 2>&1; then
			skipped=$((skipped + 1))
			say "  $name ${version#*:}: skipped, apt cannot get its source: $(grep -m1 '^E:' "$log")"
			rm -rf "$work"
			return
		fi
		# the first component of a name is the version, in one way or another
		if patched_files "$@" | sed 's|^|*/|' | XZ_OPT=-T0 tar -xf "$work"/*.tar.* -C "$work/src" \
			--strip-components=1 --wildcards --no-wildcards-match-slash -T - >>"$log" 2>&1; then
			mv -T "$work/src" "$dir"
		fi
		rm -rf "$work"
	fi
	check "patches on $name ${version#*:}" patches_apply "$dir" "$log" "$@"
}

# patches_in DIR...: the patches of each, in the order in which they are applied.
patches_in() {
	local dir
	for dir in "$@"; do find "$REPO/$dir" -name '*.patch' | sort; done
}

# The files that the patches of these folders change and do not bring.
patched_files() { patches_in "$@" | xargs cat | sed -n 's|^--- a/||p' | sed 's/\t.*//' | sort -u; }

patches_apply() { # TREE LOG PATCH-DIR...
	local tree=$1 scratch patch status=0
	[ -d "$tree" ] || { cat "$2"; return 1; }
	scratch=$(mktemp -d)
	# a dry run would not see one patch on top of another
	cp -r "$tree/." "$scratch"
	for patch in $(patches_in "${@:3}"); do
		patch -d "$scratch" -p1 -F0 -f <"$patch" || status=1
	done
	rm -rf "$scratch"
	return "$status"
}

# The tree that was built has exactly our patches, applied without fuzz by tree_patch.
patches_applied() {
	local tree dir
	tree=$(kernel_tree lab "$(kernel_source_version)")
	for dir in "$@"; do
		diff -r "$REPO/$dir" "$tree/patches/${dir//\//-}" || return
	done
}

source_of_qemu() {
	apt-get source --download-only --tar-only "qemu=$1" &&
		rm -f ./*.asc	# the signature of the tar file
}

source_of_kernel() {
	apt-get "${archive_options[@]}" download "linux-source-6.12=$1" && dpkg-deb -x linux-source-6.12_*.deb . &&
		mv usr/src/linux-source-6.12.tar.* .
}

# Every version but the one that is built, which Debian 12 has under a name of its own.
kernel_other_versions() {
	apt-cache "${archive_options[@]}" madison linux-source-6.12 |
		awk -v built="$(kernel_source_version)" 'BEGIN { sub(/~.*/, "", built); seen[built] = 1 }
			{ version = $3; sub(/~.*/, "", version) } !seen[version]++ { print $3 }'
}

# archive_of_both_releases DIR: has apt know, in DIR and beside the machine's own lists, what kernels Debian 12 and 13 have.
# archive_options is what to tell apt afterwards.
archive_of_both_releases() {
	local dir=$1 codename archive security
	codename=$(debian_codename)
	archive=$(debian_archive_of "$codename")
	security=$(debian_archive_of "$codename-security")
	mkdir -p "$dir/lists"
	{
		printf '%b\n' "$(deb822_entry deb "$archive" "bookworm-backports trixie")"
		[ -z "$security" ] || printf '%b\n' "$(deb822_entry deb "$security" "bookworm-security trixie-security")"
	} >"$dir/both.sources"
	archive_options=(-q -o "Dir::Etc::SourceList=$dir/both.sources" -o Dir::Etc::SourceParts=/dev/null
		-o "Dir::State::Lists=$dir/lists" -o "Dir::Cache=$dir" -o Acquire::Languages=none -o APT::Sandbox::User=root)
	apt-get "${archive_options[@]}" update >"$RUN/apt-update.txt" 2>&1 ||
		say "  apt cannot read all lists of Debian 12 and 13: $(grep -m1 '^[EW]:' "$RUN/apt-update.txt")"
}
