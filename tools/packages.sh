# SPDX-License-Identifier: Apache-2.0
# Which Debian packages cryopod needs, and how missing ones are installed.  Sourced.

PACKAGES_BUILD="gcc libc6-dev make meson ninja-build pkg-config binutils protobuf-c-compiler libprotobuf-c-dev libglib2.0-dev libsqlite3-dev libjansson-dev libarchive-dev libcmocka-dev libmnl-dev libnftables-dev libgnutls28-dev scdoc"
PACKAGES_RUN="libnftables1 libgnutls30 libseccomp2 runc conmon netavark aardvark-dns skopeo iptables golang-github-containers-common ca-certificates"
PACKAGES_DEMO="busybox-static tar"
PACKAGES_TEST="bats jq criu docker-registry iproute2 procps util-linux python3 curl musl-tools mmdebstrap tmux openssh-client openssh-server podman sudo gnutls-bin bubblewrap gdb strace"

# need_packages NAME...: installs what is missing with apt-get, or says what is needed.
need_packages() {
	local missing="" p
	if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
		echo "Error: this is not a Debian system: install the equivalents of these packages, then build with make:" >&2
		printf '  %s\n' "$@" >&2
		return 1
	fi
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Abbrev}' "$p" 2>/dev/null | grep -q '^ii' || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	if [ "$(id -u)" != 0 ]; then
		echo "Error: these packages are missing:$missing: run this as root, or apt-get install them" >&2
		return 1
	fi
	echo "Installing:$missing"
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086
	apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 ||
		{ apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $missing >/dev/null; } ||
		{ echo "Error: apt-get could not install:$missing" >&2; return 1; }
}
