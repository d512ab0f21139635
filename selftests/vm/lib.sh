# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What setup, build and run share: where things are, how waiting is shown.
# Everything that is made lives in the cache, under a name that holds the hash
# of what it was made from; a directory is complete when it has its stamp.

VM=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
SRC=$(cd "$VM/../.." && pwd)
CACHE=${ATTLS_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/attls}
SUITE=trixie
KERNELS=(6.12 7.2)
# One clock for a run and for the setup and build it calls.
export LAB_START=${LAB_START:-$EPOCHSECONDS}

say() { printf '[%ds] %s\n' $((EPOCHSECONDS - LAB_START)) "$*" >&2; }

# 125 as in timeout(1) and env(1): the lab failed, not the command.
die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit 125
}

# The guest's root holds files that only root may read, and chroot and mount
# are root's: the whole lab runs as root.
as_root() {
	local v pass=("ATTLS_CACHE=$CACHE" "LAB_START=$LAB_START")

	[ "$(id -u)" -ne 0 ] || return 0
	command -v sudo >/dev/null ||
		die "needs root: run it as root, or install sudo"
	for v in "${!ATTLS_@}"; do
		[ "$v" = ATTLS_CACHE ] || pass+=("$v=${!v}")
	done
	exec sudo env "${pass[@]}" "$0" "$@"
}

# A builtin sleep: a child would outlive us, with our pipes and locks open.
nap() {
	[ -n "${nap_fd:-}" ] || exec {nap_fd}<> <(:)
	read -rt "$1" -u "$nap_fd" || true
}

heartbeat() {
	while nap 15; do
		say "still $1: $(tail -n 1 "$2" | tr -d '\r' | cut -c 1-60)"
	done
}

# step WHAT LOG COMMAND...: a long command; its output goes to the log, whose
# tail is shown when it fails. It is a process group of its own (set -m): it
# would not hear an interrupt in the background, so we pass it on.
step() {
	local what=$1 log=$2 rc=0

	shift 2
	say "$what ..."
	: >>"$log"
	heartbeat "$what" "$log" 9>&- &
	beat_pid=$!
	set -m
	(set -e; "$@") >>"$log" 2>&1 </dev/null &
	step_pid=$!
	set +m
	wait $step_pid || rc=$?
	step_pid=
	stop_step
	[ $rc -eq 0 ] && return
	tail -n 30 "$log" >&2
	die "$what failed (status $rc); log: $log"
}

stop_step() {
	[ -z "${step_pid:-}" ] || kill -KILL -- "-$step_pid" 2>/dev/null || true
	[ -z "${beat_pid:-}" ] || kill "$beat_pid" 2>/dev/null || true
	wait 2>/dev/null # bash would tell who was killed
	beat_pid=
}

trap stop_step EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# apart COMMAND...: its mounts are its own, and its processes end with it.
apart() {
	unshare --mount --propagation private --pid --fork --kill-child \
		--mount-proc "$@"
}

# lock FILE WHAT: held until unlock or exit. Who waits finds the work done.
lock() {
	exec 9>"$1"
	flock -n 9 && return
	say "waiting for another run that is $2 ..."
	until flock -w 15 9; do
		say "still waiting for another run that is $2"
	done
}

unlock() { exec 9>&-; }

# key FILE...: names what is made from these files. Contents only: a copy of
# the tree finds the same cache.
key() { cat "$@" | sha256sum | cut -c 1-16; }

ROOT=$CACHE/root-$(key "$VM/setup" "$VM/packages")
BOOT=$CACHE/boot-$(key "$VM/setup" "$VM/packages" "$VM/init")
BUILDS=$CACHE/build
LOGS=$CACHE/log

# A frozen mirror has lists past their date; who allowed that for the host
# allowed it for the guest.
date_checks() { apt-config dump | grep '^Acquire::Check-' || true; }

# debug_layer: where the debug kernel is or will be. It follows the release of
# kernel 6.12, as its source does.
debug_layer() {
	local release

	release=$(kernel_release 6.12)
	printf '%s/kernel-debug-%s\n' "$BUILDS" \
		"$(key "$VM/debug" "$VM/debug.config" - <<<"$release")"
}

# kernel_release NAME: "6.12" -> "6.12.1+deb13-amd64", the newest in the root.
kernel_release() {
	local found

	if [ "$1" = debug ]; then
		found=$(debug_layer)
		found=$(cd "$found/usr/lib/modules" && echo *) ||
			die "kernel debug: setup --kernel debug did not end well"
		printf '%s\n' "$found"
		return
	fi
	found=$(cd "$ROOT/boot" && printf '%s\n' vmlinuz-"$1".* |
		sort -V | tail -n 1)
	[ -e "$ROOT/boot/$found" ] || die "kernel $1: not in $ROOT/boot"
	printf '%s\n' "${found#vmlinuz-}"
}

root_ok() {
	local k

	[ -f "$1/.stamp" ] && [ -x "$1/usr/bin/gcc" ] &&
		[ -x "$1/bin/bash" ] && [ -x "$1/bin/busybox" ] || return
	for k in "${KERNELS[@]}"; do
		compgen -G "$1/boot/vmlinuz-$k.*" >/dev/null &&
			compgen -G "$1/usr/lib/modules/$k.*/modules.dep" \
				>/dev/null &&
			compgen -G "$1/usr/lib/modules/$k.*/build/Makefile" \
				>/dev/null || return
	done
}

boot_ok() {
	local k

	[ -f "$1/.stamp" ] && [ -s "$1/debug.initrd" ] || return
	for k in "${KERNELS[@]}"; do
		[ -s "$1/$k.vmlinux" ] && [ -s "$1/$k.initrd" ] || return
	done
}
