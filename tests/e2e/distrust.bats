# SPDX-License-Identifier: Apache-2.0
# The images of an archive are somebody else's word, too: what its processes had does not let them
# have more than the container's own configuration gives.

load ../lib/helpers

# Tries what this host's filter forbids, by now, and nothing else.
readonly ASKED='trap "mkfifo /root/fifo 2>/dev/null; echo \$? >/root/rc; rm -f /root/fifo; mv /root/rc /root/answer" USR1; echo READY; while :; do sleep 0.05; done'
readonly PROFILE=/usr/share/containers/seccomp.json

setup_file() {
	engine_setup
	export W=$BATS_FILE_TMPDIR
	cryopod run -d --name a --network none --security-opt no-new-privileges $IMAGE sh -c "$ASKED" >/dev/null
	wait_for 10 log_has a READY
	cryopod container checkpoint -c none -e "$W/good.tar" a >/dev/null
	cryopod rm a >/dev/null
	# From here on this is another host, with a profile of its own (the file is in a mount
	# namespace of its own).
	jq '.syscalls[].names |= ((. // []) - ["mknod", "mknodat"])' $PROFILE >"$W/profile.json"
	mount --bind "$W/profile.json" $PROFILE
	[ ! -e /etc/containers/seccomp.json ] || mount --bind "$W/profile.json" /etc/containers/seccomp.json
	cryopod run -d --name fresh --network none $IMAGE sleep 1000 >/dev/null
	BOUNDING=$(status fresh CapBnd)
	export BOUNDING
	cryopod rm -f -t 0 fresh >/dev/null
}
teardown() { engine_clear; }
teardown_file() {
	umount $PROFILE
	! mountpoint -q /etc/containers/seccomp.json || umount /etc/containers/seccomp.json
	engine_teardown
}

log_has() { cryopod logs "$1" 2>&1 | grep -q "$2"; }
restore() { cryopod container restore "$@"; }

# forge FILE PYTHON: the good archive as somebody else's, with images changed as crit shows them:
# "core" is the list of the processes' records, "filters" that of the seccomp filters.
forge() {
	python3 - "$W/good.tar" "$1" "$2" <<-'END'
	import base64, io, json, re, struct, subprocess, sys, tarfile, textwrap
	src, dst, code = sys.argv[1:]
	def crit(what, data):
	    return subprocess.run(["crit", what], input=data, stdout=subprocess.PIPE, check=True).stdout
	with tarfile.open(src) as t:
	    members = [[m, t.extractfile(m).read() if m.isreg() else b""] for m in t if m.name != "cryopod.sums"]
	images = {m.name: json.loads(crit("decode", d)) for m, d in members
	          if re.fullmatch(r"checkpoint/(core-\d+|seccomp)\.img", m.name)}
	core = [j["entries"][0] for n, j in images.items() if "core" in n]
	core = [c for c in core if "thread_core" in c]  # not of zombies
	creds = [c["thread_core"]["creds"] for c in core]
	filters = images["checkpoint/seccomp.img"]["entries"][0]["seccomp_filters"]
	allow = base64.b64encode(struct.pack("<HBBI", 6, 0, 0, 0x7fff0000)).decode()
	exec(textwrap.dedent(code))
	with tarfile.open(dst, "w", format=tarfile.PAX_FORMAT) as t:
	    for m, data in members:
	        m.pax_headers = {}
	        if m.name in images:
	            data = crit("encode", json.dumps(images[m.name]).encode())
	        if m.isreg():
	            m.size = len(data)
	        t.addfile(m, io.BytesIO(data))
	END
}

# status CONTAINER FIELD: of its first process, in /proc.
status() { awk -v f="$2:" '$1 == f { print $2 }' "/proc/$(cryopod inspect --format '{{.State.Pid}}' "$1")/status"; }

# answer CONTAINER: the status of what its shell has tried.
answer() {
	cryopod exec "$1" rm -f /root/answer
	cryopod kill -s USR1 "$1" >/dev/null
	wait_for 30 cryopod exec "$1" test -e /root/answer
	cryopod exec "$1" cat /root/answer
}

# confined CONTAINER: as run would have it.
confined() {
	[ "$(status "$1" Seccomp)" = 2 ]
	[ "$(status "$1" NoNewPrivs)" = 1 ]
	[ "$(status "$1" CapBnd)" = "$BOUNDING" ]
	[ "$(answer "$1")" = 1 ]
	expect 1 cryopod exec "$1" mkfifo /root/fifo
	[ "$(cryopod exec "$1" grep -c '^Seccomp:.2$' /proc/self/status)" = 1 ]
}

@test "without a filter, with one that forbids nothing: this host's is below" {
	needs_engine
	while IFS='|' read -r number code; do
		forge "$W/x.tar" "$code"
		expect 0 restore -i "$W/x.tar"
		confined a
		echo "filters: $(status a Seccomp_filters)"
		[ "$(status a Seccomp_filters)" = "$number" ]
		# ... also after the next checkpoint, which is ours: it has the filter already.
		expect 0 cryopod container checkpoint a
		expect 0 restore a
		confined a
		echo "filters: $(status a Seccomp_filters)"
		[ "$(status a Seccomp_filters)" = "$number" ]
		cryopod rm -f -t 0 a >/dev/null
	done <<-'END'
	1|for c in core: c["thread_core"]["seccomp_mode"] = "disabled"; del c["thread_core"]["seccomp_filter"]
	2|for f in filters: f["filter"] = allow
	2|pass
	END
}

@test "a checkpoint that is kept is not believed the next time either" {
	needs_engine
	forge "$W/x.tar" 'for f in filters: f["filter"] = allow'
	expect 0 restore --keep -i "$W/x.tar"
	confined a
	cryopod kill a >/dev/null
	cryopod wait a >/dev/null
	expect 0 restore a
	confined a
}

@test "what is trusted, or our own, has the filters that it had" {
	needs_engine
	expect 0 restore -i "$W/good.tar"
	[ "$(status a Seccomp_filters)" = 1 ]
	[ "$(answer a)" = 0 ]
	expect 0 cryopod exec a mkfifo /root/fifo
	cryopod rm -f -t 0 a >/dev/null
	forge "$W/x.tar" 'for f in filters: f["filter"] = allow'
	expect 0 restore --trust -i "$W/x.tar"
	[ "$(status a Seccomp_filters)" = 1 ]
	[ "$(answer a)" = 0 ]
}

@test "capabilities, no_new_privs and flags of filters are not the images' to give" {
	needs_engine
	forge "$W/x.tar" '
	for c in creds:
	    c["no_new_privs"] = 0
	    for s in ("inh", "prm", "eff", "bnd", "amb"):
	        c["cap_" + s] = [0xffffffff, 0x1ff]
	'
	expect 0 restore -i "$W/x.tar"
	confined a
	for set in CapInh CapPrm CapEff CapAmb; do
		v=$(status a $set)
		[ $((0x$v & ~0x$BOUNDING)) -eq 0 ]
	done
	cryopod rm -f -t 0 a >/dev/null
	forge "$W/x.tar" 'for f in filters: f["flags"] = 8'
	refuses 125 'seccomp.img: filter 0 has flags 0x8' timeout 60 "$CP" container restore -i "$W/x.tar"
	forge "$W/x.tar" 'for f in filters: f["prev"] = 0'
	refuses 125 'seccomp.img: filter 0 is on filter 0' timeout 60 "$CP" container restore -i "$W/x.tar"
	forge "$W/x.tar" 'for c in core: c["thread_core"]["seccomp_filter"] = 77'
	refuses 125 'seccomp filter 77 is not in seccomp.img' timeout 60 "$CP" container restore -i "$W/x.tar"
	[ -z "$(cryopod ps -aq --filter name=a)" ]
}
