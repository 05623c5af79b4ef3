# SPDX-License-Identifier: Apache-2.0
# Layers: broken ones, hostile ones, and what one layer does to another.

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

@test "a whiteout, an opaque directory, hard links, attributes and modes over two layers" {
	make_two_layers "$BATS_TEST_TMPDIR/two"
	tar -C "$BATS_TEST_TMPDIR/two" -cf "$BATS_TEST_TMPDIR/two.tar" .
	expect 0 cryopod load -q -i "$BATS_TEST_TMPDIR/two.tar"
	[[ "$output" =~ Loaded\ image:\ (.*) ]]
	id=${BASH_REMATCH[1]}
	expect 0 cryopod run --rm --network none "$id" sh -c 'ls /data; cat /opaque/*; stat -c "%a %u:%g %h" /data/hard1; readlink /data/link; cat /data/hard2'
	is $'hard1\nhard2\nkept\nlink\nnew\nvisible\n4750 5:6 2\nkept\nsame'
	expect 0 cryopod rmi "$id"
}

# A second layer that removes /data/gone, hides what was in /opaque, and links.
make_two_layers() {
	local base=$BATS_TEST_TMPDIR/l1 top=$BATS_TEST_TMPDIR/l2
	mkdir -p "$base"/{data,opaque} "$top"/{data,opaque}
	tar -C "$base" -xf "$BATS_FILE_TMPDIR/busybox.tar"
	echo kept >"$base/data/kept" && echo gone >"$base/data/gone" && echo hidden >"$base/opaque/old"
	: >"$top/data/.wh.gone" && : >"$top/opaque/.wh..wh..opq" && echo visible >"$top/opaque/new" && echo x >"$top/data/new"
	echo same >"$top/data/hard1" && ln "$top/data/hard1" "$top/data/hard2"
	chown 5:6 "$top/data/hard1" && chmod 4750 "$top/data/hard1"
	ln -s kept "$top/data/link"
	tar -C "$base" -cf "$base.tar" . && tar -C "$top" -cf "$top.tar" .
	make_oci_layout "$1" v2 "$base.tar" "$top.tar"
}
