# SPDX-License-Identifier: Apache-2.0
# Files into containers, out of them, and between them; containers that run and that do not.

load ../lib/helpers
setup_file() {
	engine_setup
	cryopod run --name base busybox mkdir -p /srv /tmp /usr
	cryopod commit -q base dirs >/dev/null
	cryopod rm base
}
setup() { cd "$BATS_TEST_TMPDIR"; }
teardown() {
	engine_clear
	cryopod volume rm -fa >/dev/null
}
teardown_file() { engine_teardown; }

# The same container, running and not: what is started last is looked at.
made() { cryopod create --name w -w /srv "$@" dirs sleep 1000 >/dev/null; }
look() {
	cryopod start w >/dev/null
	cryopod exec w "$@"
}

@test "a file into a container: names, directories, the working directory" {
	echo one >file
	echo dot >dot.
	while read -r to place; do
		for running in yes no; do
			made
			[ "$running" = no ] || cryopod start w >/dev/null
			cryopod cp file "w:$to"
			[ "$(look cat "$place")" = one ] || { echo "$to -> $place, running: $running"; return 1; }
			cryopod rm -f -t 0 w
		done
	done <<-END
		/ /file
		/other /other
		/tmp /tmp/file
		/tmp/ /tmp/file
		/tmp/. /tmp/file
		. /srv/file
		other /srv/other
	END
	made
	cryopod cp dot. w:/tmp
	[ "$(look cat /tmp/dot.)" = dot ]
	refuses 125 '"nosuch" could not be found on the host' cryopod cp nosuch w:/tmp
	refuses 125 '"/nosuch/" could not be found on container w: no such file or directory' cryopod cp file w:/nosuch/
	refuses 125 '"/nosuch/x" could not be found on container w: no such file or directory' cryopod cp file w:/nosuch/x
	refuses 125 'no such container' cryopod cp file nosuch:/tmp
	refuses 125 'accepts 2 arg(s), received 1' cryopod cp file
	refuses 125 'you must specify one container' cryopod cp ./file ./other
}

@test "a directory into a container: itself or what is in it" {
	mkdir -p dir/sub dir.
	echo one >dir/sub/file
	chmod 751 dir/sub
	touch -d 2001-02-03T04:05:06Z dir/sub/file
	ln dir/sub/file dir/sub/hard
	ln -s ../sub dir/sub/soft
	truncate -s 1M dir/sub/holes
	mkfifo dir/sub/pipe
	setfattr -n user.note -v text dir/sub/file 2>/dev/null || true
	cp -a dir/sub dir./
	while read -r from to place; do
		for running in yes no; do
			made
			[ "$running" = no ] || cryopod start w >/dev/null
			cryopod cp "$from" "w:$to"
			run look sh -c "cd $place && stat -c '%n %a %F %h' . file hard soft pipe holes && stat -c %Y file && readlink soft && cat hard"
			is "$(printf '%s\n' '. 751 directory 2' 'file 644 regular file 2' 'hard 644 regular file 2' 'soft 777 symbolic link 1' \
				'pipe 644 fifo 1' 'holes 644 regular file 1' 981173106 ../sub one)" || { echo "$from $to $place"; return 1; }
			cryopod rm -f -t 0 w
		done
	done <<-END
		dir / /dir/sub
		dir. / /dir./sub
		dir/ /tmp /tmp/dir/sub
		dir/. /usr/ /usr/sub
		dir/sub . /srv/sub
		dir /new /new/sub
		dir/. /new /new/sub
	END
	made
	refuses 125 'destination must be a directory when copying a directory' cryopod cp dir w:/etc/passwd
}

@test "out of a container, and to another one" {
	made
	look sh -c 'mkdir -p /srv/sub /tmp/sub.; echo zero >/srv/sub/a; echo one >/srv/sub/b; cp /srv/sub/* /tmp/sub./; ln -s sub /srv/link; chown 5:6 /srv/sub/a'
	for running in yes no; do
		while read -r from to place; do
			mkdir out
			cryopod cp "w:$from" "out$to"
			[ "$(cat "out$place/a" "out$place/b")" = $'zero\none' ] || { echo "$from $to"; return 1; }
			[ "$(stat -c %u:%g "out$place/a")" = 0:0 ]
			rm -r out
			cryopod create --name v dirs sleep 1000 >/dev/null
			[ "$running" = no ] || cryopod start v >/dev/null
			cryopod cp "w:$from" "v:/srv$to"
			cryopod start v >/dev/null
			[ "$(cryopod exec v cat "/srv$place/a" "/srv$place/b")" = $'zero\none' ] || { echo "$from $to"; return 1; }
			cryopod rm -f -t 0 v
		done <<-END
			/srv / /srv/sub
			/srv /new /new/sub
			/srv/. / /sub
			/srv/sub/. / /.
			sub /x /x
			link /x /x
			/tmp/sub. / /sub.
		END
		cryopod cp w:sub/a single
		[ "$(cat single)" = zero ]
		cryopod cp -a=false w:sub/a single
		[ "$(stat -c %u:%g single)" = 5:6 ]
		rm single
		cryopod stop -t 0 w
	done
	refuses 125 '"/nosuch" could not be found on container w: no such file or directory' cryopod cp w:/nosuch .
	cryopod start w
	refuses 125 '"/dev/stdout" must be a directory or a regular file' cryopod cp w:/srv/sub/a /dev/stdout
	cryopod cp w:/srv/sub/a w:/srv/c
	[ "$(cryopod exec w cat /srv/c)" = zero ]
	cryopod stop -t 0 w
	cryopod cp w:/srv/sub/b w:/srv/d
	[ "$(look cat /srv/d)" = one ]
}

@test "links in a container lead nowhere else" {
	echo secret >hidden
	made
	look sh -c "ln -s $PWD/hidden /tmp/bad; ln -s /tmp/none /tmp/dangling; ln -s / /tmp/root; mkdir /tmp/d; ln -s $PWD /tmp/d/out"
	for running in yes no; do
		refuses 125 '"/tmp/bad" could not be found on container w' cryopod cp w:/tmp/bad got
		run ! ls got
		echo new >new
		cryopod cp new w:/tmp/dangling
		cryopod cp new w:/tmp/root/tmp/through
		cryopod cp w:/tmp/d got
		[ "$(readlink got/out)" = "$PWD" ]
		rm -r got
		cryopod stop -t 0 w
	done
	mkdir -p d/out
	echo x >d/out/x
	run cryopod cp d/. w:/tmp/d
	run cryopod cp --overwrite d/. w:/tmp/d
	[ ! -e x ]
	[ "$(look cat /tmp/none /tmp/through)" = $'new\nnew' ]
	[ "$(cat hidden)" = secret ]
}

# What is mounted on does not exist yet: it is made where the link leads in the container.
@test "a mount below an absolute link" {
	cryopod run --name l dirs sh -c 'mkdir -p /data /etc/deep; ln -s /data /srv/abs; ln -s /etc /data/up'
	cryopod commit -q l links >/dev/null
	cryopod rm l
	echo one >file
	echo two >single
	cryopod create --name w -v v:/srv/abs/vol -v "$PWD/single:/srv/abs/up/deep/er/single" links sleep 1000
	cryopod cp file w:/srv/abs/vol
	cryopod cp file w:/data/vol/again
	[ "$(cat "$(cryopod volume inspect v --format '{{.Mountpoint}}')"/*)" = $'one\none' ]
	cryopod cp w:/etc/deep/er/single got
	[ "$(cat got)" = two ]
	cryopod cp w:/srv/abs/up/deep/er/single got
	[ ! -e /data/vol ]
	[ ! -e /etc/deep ]
	[ "$(look cat /data/vol/file /etc/deep/er/single)" = $'one\ntwo' ]
}

@test "a directory is replaced only with --overwrite" {
	made
	look mkdir /tmp/foo
	echo file >foo
	refuses 125 'error creating "/tmp/foo"' cryopod cp foo w:/tmp
	has 'file exists'
	cryopod cp --overwrite foo w:/tmp
	[ "$(look cat /tmp/foo)" = file ]
	rm foo
	mkdir foo
	echo deep >foo/deep
	refuses 125 'error creating "/tmp/foo"' cryopod cp foo w:/tmp
	cryopod cp --overwrite foo w:/tmp
	[ "$(look cat /tmp/foo/deep)" = deep ]
	rm -r foo
	touch foo
	refuses 125 'error creating "/foo"' cryopod cp w:/tmp/foo .
	cryopod cp --overwrite w:/tmp/foo .
	[ "$(cat foo/deep)" = deep ]
}

@test "streams: a tar file from stdin and to stdout" {
	mkdir dir
	echo one >dir/file
	tar --owner=1042 --group=1043 -czf dir.tgz dir
	made -u 33
	for running in yes no; do
		[ "$running" = no ] || cryopod start w >/dev/null
		cryopod cp - w:/tmp <dir.tgz
		[ "$(cryopod cp w:/tmp/dir/file - | tar xO)" = one ]
		cryopod cp w:/tmp/dir - | tar t >names
		[ "$(sort names)" = $'dir/\ndir/file' ]
		refuses 125 'source must be a (compressed) tar archive when copying from stdin' cryopod cp - w:/tmp <dir/file
		refuses 125 'destination must be a directory when copying from stdin' cryopod cp - w:/etc/passwd <dir.tgz
		refuses 125 'destination must be a directory when copying from stdin' cryopod cp - w:/tmp/none <dir.tgz
		cryopod stop -t 0 w
	done
	[ "$(look stat -c %u /tmp/dir/file)" = 33 ]
	cryopod cp -a=false - w:/tmp <dir.tgz
	[ "$(look stat -c %u:%g /tmp/dir/file)" = 1042:1043 ]
}

@test "volumes, binds, tmpfs and mounted files" {
	mkdir bound
	echo one >file
	cryopod volume create a >/dev/null
	cryopod volume create b >/dev/null
	made -v a:/tmp/vol -v b:/tmp/vol/sub -v "$PWD/bound:/tmp/vol/sub/bound" --tmpfs /scratch
	cryopod cp file w:/tmp/vol/sub
	cryopod cp file w:/tmp/vol/sub/bound/other
	[ "$(cat "$(cryopod volume inspect b --format '{{.Mountpoint}}')/file")" = one ]
	[ "$(cat bound/other)" = one ]
	[ -z "$(find "$(cryopod volume inspect a --format '{{.Mountpoint}}')" -type f)" ]
	cryopod cp w:/tmp/vol got
	[ "$(cat got/sub/file)$(cat got/sub/bound/other)" = oneone ]
	rm -r got
	cryopod start w
	cryopod cp file w:/scratch
	[ "$(look cat /scratch/file)" = one ]
	cryopod cp w:/tmp/vol got
	[ "$(cat got/sub/file)$(cat got/sub/bound/other)" = oneone ]
	# A mounted file is written, not replaced.
	cryopod cp file w:/etc/hosts
	[ "$(look cat /etc/hosts)" = one ]
	[ "$(findmnt -rn | grep -c "$(cryopod info --format '{{.Store.GraphRoot}}')/overlay/.*/merged")" -eq 1 ]
	cryopod stop -t 0 w
	cryopod cp file w:/tmp
	run ! grep -q "$(cryopod info --format '{{.Store.GraphRoot}}')/overlay/.*/merged" /proc/self/mountinfo
}
