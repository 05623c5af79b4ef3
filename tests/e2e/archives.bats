# SPDX-License-Identifier: Apache-2.0
# Archives that are broken or hostile.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

@test "archives that are broken" {
	n=$(cryopod images -q | wc -l)
	head -c 1000000 "$BATS_FILE_TMPDIR/busybox.tar" >"$BATS_TEST_TMPDIR/short.tar"
	head -c 300000 /dev/urandom >"$BATS_TEST_TMPDIR/noise.tar"
	gzip -c "$BATS_FILE_TMPDIR/busybox.tar" | head -c 200000 >"$BATS_TEST_TMPDIR/short.tar.gz"
	for f in short.tar noise.tar short.tar.gz; do
		[ "$PROG" = podman ] || refuses 125 "" cryopod import -q "$BATS_TEST_TMPDIR/$f" broken # it takes the first
	done
	expect 125 cryopod load -i "$BATS_TEST_TMPDIR/noise.tar"
	[ "$PROG" = podman ] || [ "$(cryopod images -q | wc -l)" -eq "$n" ]
}

@test "an archive that reaches out of the layer" {
	victim=$BATS_TEST_TMPDIR/victim
	mkdir "$victim" && echo safe >"$victim/kept"
	python3 - "$BATS_TEST_TMPDIR" "$victim" <<-'END'
	import io, sys, tarfile
	out, victim = sys.argv[1:]
	def member(t, name, data=b"evil\n", **kw):
	    m = tarfile.TarInfo(name)
	    for k, v in kw.items():
	        setattr(m, k, v)
	    m.size = len(data) if m.isreg() else 0
	    t.addfile(m, io.BytesIO(data))
	for what, members in {
	    "dotdot": [dict(name="../../../../../../../../../../.." + victim + "/new")],
	    "inside": [dict(name="a/../../../../../../../../../../.." + victim + "/new")],
	    "symlink": [dict(name="s", type=tarfile.SYMTYPE, linkname=victim), dict(name="s/new")],
	    "relative": [dict(name="s", type=tarfile.SYMTYPE, linkname="../" * 30 + victim[1:]), dict(name="s/new")],
	    "hardlink": [dict(name="h", type=tarfile.LNKTYPE, linkname="../" * 30 + victim[1:] + "/kept"), dict(name="h")],
	    "whiteout": [dict(name="s", type=tarfile.SYMTYPE, linkname=victim), dict(name="s/.wh.kept")],
	    "opaque": [dict(name="s", type=tarfile.SYMTYPE, linkname=victim), dict(name="s/.wh..wh..opq")],
	}.items():
	    with tarfile.open(out + "/" + what + ".tar", "w") as t:
	        for m in members:
	            member(t, m.pop("name"), **m)
	END
	for f in dotdot inside symlink relative hardlink whiteout opaque; do
		run cryopod import -q "$BATS_TEST_TMPDIR/$f.tar" "evil-$f"
		echo "$f: [$status] $output"
		[ "$status" -eq 0 ] || [ "$status" -eq 125 ]
		cryopod create --name "evil-$f" --network none "evil-$f" x >/dev/null 2>&1 && cryopod mount "evil-$f" || true
		[ "$(ls "$victim")" = kept ] && [ "$(cat "$victim/kept")" = safe ]
	done
	[ "$PROG" = podman ] || refuses 125 "" cryopod import -q "$BATS_TEST_TMPDIR/dotdot.tar" evil
	cryopod rm -fa >/dev/null
	for i in $(cryopod images --format '{{.Repository}}' | grep evil); do cryopod rmi -f "$i" >/dev/null; done
	store_is_sound
}
