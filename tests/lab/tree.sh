# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# A distribution's source tree with our files laid over it, kept up to date in place so that a change of one
# file costs an incremental build, and the images that come out of such trees.
#
# $CACHE/trees/NAME-KEY/   src (the source), build (objects), overlay.list, patches (what is applied)
# $CACHE/images/NAME-KEY/  what a build gave; complete if it exists, because it is published by rename
# $CACHE/logs/

# tree_lock NAME: held until the lab ends, so that two labs never build in one tree.
tree_lock() {
	mkdir -p "$CACHE/trees"
	exec {tree_lock_fd}>"$CACHE/trees/$1.lock"
	if ! flock -n "$tree_lock_fd"; then
		say "waiting for another lab that builds $1"
		flock "$tree_lock_fd"
	fi
}

tree_unlock() { exec {tree_lock_fd}>&-; }

# tree_hash PATH...: a short hash over names and contents of all files below the paths.
tree_hash() {
	(cd "$REPO" && find "$@" -type f -print0 2>/dev/null | sort -z | xargs -0r sha256sum | sha256sum | cut -c1-16)
}

# tree_overlay TREE FROM:TO...: lays the files of $REPO/FROM over TREE/src/TO.  Times of unchanged files stay, and
# what an earlier overlay brought and this one does not is removed.
tree_overlay() {
	local tree=$1 pair from to list
	shift
	list=$(mktemp)
	for pair in "$@"; do
		from=$REPO/${pair%%:*} to=${pair##*:}
		if [ -d "$from" ]; then
			rsync -rpc "$from/" "$tree/src/$to/"
			(cd "$from" && find . -type f | sed "s|^\\.|$to|") >>"$list"
		elif [ -f "$from" ]; then
			mkdir -p "$(dirname "$tree/src/$to")"
			rsync -pc "$from" "$tree/src/$to"
			echo "$to" >>"$list"
		fi
	done
	sort -o "$list" "$list"
	if [ -f "$tree/overlay.list" ]; then
		comm -23 "$tree/overlay.list" "$list" | while read -r from; do rm -f "$tree/src/$from"; done
	fi
	mv "$list" "$tree/overlay.list"
}

# tree_patch TREE DIR: makes the patches of $REPO/DIR the ones of that folder that are applied.  Offsets are fine,
# fuzz is not.
tree_patch() {
	local tree=$1 want=$REPO/$2 have=$1/patches/${2//\//-} patch
	mkdir -p "$have"
	[ -d "$want" ] || return 0
	diff -rq "$want" "$have" >/dev/null && return 0
	for patch in $(find "$have" -name '*.patch' | sort -r); do
		patch -d "$tree/src" -p1 -R -s -f --no-backup-if-mismatch <"$patch" ||
			die "cannot take back ${patch##*/}: remove $tree and try again"
		rm "$patch"
	done
	for patch in $(find "$want" -name '*.patch' | sort); do
		patch -d "$tree/src" -p1 -s -f -F0 --no-backup-if-mismatch <"$patch" ||
			die "${patch#"$REPO"/} does not apply to $tree/src without fuzz"
		cp "$patch" "$have/"
	done
}

# image_publish NAME KEY STAGING: makes STAGING the image, all at once, and keeps the last two of that name.
image_publish() {
	local dir=$CACHE/images/$1-$2
	rm -rf "$dir"
	mv -T "$3" "$dir"
	# shellcheck disable=SC2012
	ls -dt "$CACHE/images/$1"-* | tail -n +3 | xargs -r rm -rf
}
