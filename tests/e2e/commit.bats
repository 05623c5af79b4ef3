# SPDX-License-Identifier: Apache-2.0
# A container's files as an image (commit) and as a tar file (export).

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod rmi -f flat deep twice imported docker >/dev/null 2>&1 || true
}
teardown_file() { engine_teardown; }

# Something of each: a new file, a changed one, a deleted one and a directory in a deleted one's place.
changed() {
	cryopod run --name w -e COLOUR=blue -w /tmp --label use=test "$@" busybox sh -c \
		'echo new >/new; echo more >>/etc/group; rm /etc/passwd; mkdir -p /srv/deep; chmod 2750 /srv/deep
		 chown 7:8 /srv/deep; ln /new /srv/deep/hard; ln -s ../new /srv/soft; mkfifo /srv/pipe; rm -r /home; mkdir /home; echo x >/home/only'
}

# What an image's files are, with all that matters of them.
files_of() {
	cryopod run --rm --network none "$1" sh -c 'cd /; find . -xdev ! -path "./proc*" ! -path "./sys*" ! -path "./dev*" ! -path "./run*" ! -path ./etc/hosts ! -path ./etc/hostname ! -path ./etc/resolv.conf ! -path ./etc/mtab ! -path "./etc" ! -path . |
		sort | while read -r f; do stat -c "%n %F %a %u:%g %Y" "$f"; if [ -f "$f" ]; then stat -c %h "$f"; md5sum <"$f"; fi; done'
}

@test "commit: one layer more, whose files are the container's" {
	changed
	expect 0 cryopod commit -q w localhost/deep
	[[ "$output" =~ ^[0-9a-f]{64}$ ]]
	files_of deep >"$BATS_TEST_TMPDIR/deep"
	expect 0 cryopod run --rm deep sh -c 'cat /new /home/only; tail -n 1 /etc/group; ls /home; test -e /etc/passwd || echo gone; stat -c "%a %u:%g" /srv/deep; readlink /srv/soft; stat -c %F /srv/pipe; pwd; echo $COLOUR'
	is "$(printf '%s\n' new x more only gone "2750 7:8" ../new fifo /tmp blue)"
	[ "$(cryopod image inspect deep --format '{{len .RootFS.Layers}} {{.Labels.use}}')" = "2 test" ]
	# In one layer it is the same, and so it is from a tar file.
	cryopod commit --squash w flat >/dev/null
	[ "$(cryopod image inspect flat --format '{{len .RootFS.Layers}}')" = 1 ]
	files_of flat | diff "$BATS_TEST_TMPDIR/deep" -
	cryopod export -o "$BATS_TEST_TMPDIR/w.tar" w
	cryopod import "$BATS_TEST_TMPDIR/w.tar" imported >/dev/null
	files_of imported | diff "$BATS_TEST_TMPDIR/deep" -
	cryopod export w | cmp - "$BATS_TEST_TMPDIR/w.tar"
	# Another layer on top, through an archive and back.
	cryopod run --name v deep sh -c 'rm /new; echo y >/home/only'
	cryopod commit v twice >/dev/null
	cryopod save -o "$BATS_TEST_TMPDIR/twice.tar" --format oci-archive twice
	cryopod rm v
	cryopod rmi -f twice >/dev/null
	cryopod load -i "$BATS_TEST_TMPDIR/twice.tar" >/dev/null
	expect 0 cryopod run --rm twice sh -c "test -e /new || echo gone; cat /home/only /srv/deep/hard"
	is "$(printf '%s\n' gone y new)"
}

@test "commit: --change, --author, --message, Docker's format, a container that runs" {
	cryopod run -d --name runner busybox sh -c 'echo here >/here; exec sleep 1000' >/dev/null
	until cryopod exec runner test -e /here; do :; done
	expect 0 cryopod commit --pause --author me --format docker -m "one file" --change 'CMD ["cat", "/here"]' --change ENV=A=b --change USER=7 --iidfile "$BATS_TEST_TMPDIR/iid" runner docker
	[ "$(cat "$BATS_TEST_TMPDIR/iid")" = "$output" ]
	state_is runner running
	expect 0 cryopod run --rm docker
	is here
	expect 0 cryopod run --rm docker sh -c 'echo $A $(id -u)'
	is "b 7"
	[ "$(cryopod image inspect docker --format '{{.Author}} {{.ManifestType}}')" = "me application/vnd.docker.distribution.manifest.v2+json" ]
	[ "$(cryopod history docker --format '{{.Comment}}' | head -n 1)" = "one file" ]
	[ "$(cryopod events --stream=false --filter container=runner --filter event=commit --format '{{.Name}}')" = runner ]
}

@test "commit and export: refused before anything is made" {
	cryopod create --name w busybox true >/dev/null
	before=$(cryopod images -aq)
	refuses 125 'messages are only compatible with the docker image format (-f docker)' cryopod commit -m text w deep
	refuses 125 'unrecognized image format "tar"' cryopod commit -f tar w deep
	refuses 125 'invalid reference format' cryopod commit w UPPER/:x
	refuses 125 'no such container' cryopod commit nosuch deep
	refuses 125 'NOSUCH' cryopod commit --change 'NOSUCH=x' w deep
	refuses 125 'accepts between 1 and 2 arg(s), received 0' cryopod commit
	refuses 125 'accepts 1 arg(s), received 0' cryopod export
	refuses 125 'no such container' cryopod export -o "$BATS_TEST_TMPDIR/x" nosuch
	refuses 125 'create /nosuch/dir/file' cryopod export -o /nosuch/dir/file w
	[ "$(cryopod images -aq)" = "$before" ]
	run ! ls "$BATS_TEST_TMPDIR"/x*
	state_is w created
}
