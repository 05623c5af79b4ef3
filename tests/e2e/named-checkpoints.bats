# SPDX-License-Identifier: Apache-2.0
# Checkpoints with names: many of one container, with the root file system of each instant.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# counter NAME: counts in memory, in its log, and in the file /count of its root file system.
counter() {
	cryopod run -d --name "$1" --network none $IMAGE sh -c \
		'i=0; while true; do echo $i; echo $i >/count; echo $i >>/all; i=$(expr $i + 1); sleep 0.05; done' >/dev/null
	wait_for 10 at_least "$1" 3
}
last() { cryopod logs --tail 1 "$1"; }
at_least() { [ "$(last "$1")" -ge "$2" ]; }
diff_of() { echo "$CP_ROOT/overlay/$(cryopod inspect --format '{{.Id}}' "$1")/diff"; }

@test "going back is exact: memory and files" {
	counter c
	expect 0 cryopod checkpoint create --leave-running c one
	is one
	refuses 125 'checkpoint with name one already exists for container c' cryopod checkpoint create c one
	wait_for 10 at_least c $(($(last c) + 4))
	expect 0 cryopod checkpoint create c two
	[ "$(cryopod inspect --format '{{.State.Status}} {{.State.Checkpointed}}' c)" = "exited true" ]
	for name in one two one; do
		dir=$(cryopod inspect --format '{{.StaticDir}}' c)/checkpoints/$name
		was=$(cat "$dir/rootfs/count")
		[ -n "$was" ] || was=$(tail -n 1 "$dir/rootfs/all") # just being written
		had=$(wc -l <"$dir/rootfs/all")
		before=$(cryopod logs c | wc -l)
		expect 0 cryopod container restore --checkpoint "$name" c
		wait_for 10 bash -c "[ \$($CP logs c | wc -l) -gt $((before + 2)) ]"
		# The number after what the file had is the next one, in the log as in the file.
		next=$(cryopod logs c | sed -n "$((before + 1))p")
		# A number is printed before it is in the file: there may be one more, or one that is not read yet.
		((next >= was && next <= was + 2))
		cryopod exec c cat /all >"$BATS_TEST_TMPDIR/all"
		[ "$(wc -l <"$BATS_TEST_TMPDIR/all")" -gt "$had" ]
		seq 0 $(($(wc -l <"$BATS_TEST_TMPDIR/all") - 1)) | cmp - "$BATS_TEST_TMPDIR/all"
		cryopod kill c >/dev/null
		cryopod wait c >/dev/null
	done
}

@test "deleted, changed and new files come back as they were" {
	cryopod run -d --name c --network none $IMAGE sh -c 'echo a >/new; rm /etc/group; mkdir /d; echo x >/d/f; ln /d/f /d/g; touch /ready; while true; do sleep 0.1; done' >/dev/null
	wait_for 10 cryopod exec c test -e /ready
	cryopod checkpoint create -R c base
	cryopod exec c sh -c 'echo b >/new; cp /etc/passwd /etc/group; rm -r /d; mkdir /d; rm /etc/passwd; echo z >/late'
	cryopod kill c >/dev/null
	cryopod wait c >/dev/null
	expect 0 cryopod start --checkpoint base c
	expect 0 cryopod exec c sh -c 'cat /new /d/g; ls /etc /late 2>&1; stat -c %h /d/f; ls /d'
	has a x "/late: No such file" passwd $'\n2\n' $'f\ng'
	[[ "$output" != *group* ]]
}

@test "one that fails or is interrupted leaves nothing behind" {
	needs_engine
	counter c
	dir=$BATS_TEST_TMPDIR/dir
	CRYOPOD_BIN=$REPO/build/cryopod-faults
	CRYO_FAULTS_LIST=$BATS_TEST_TMPDIR/list "$CP" checkpoint create -R --checkpoint-dir "$dir" c whole
	rm -r "$dir/whole"
	# What belongs to the checkpoint itself; of the dump, whose steps sweep.bats has, the first and another.
	grep ^checkpoint: "$BATS_TEST_TMPDIR/list" | grep -v settle >"$BATS_TEST_TMPDIR/steps"
	grep -m1 ^dump: "$BATS_TEST_TMPDIR/list" >>"$BATS_TEST_TMPDIR/steps"
	echo dump:memory >>"$BATS_TEST_TMPDIR/steps"
	interrupted=0
	while read -r step; do
		for how in fail int; do
			CRYO_FAULT=$step:$how run "$CP" checkpoint create -R --checkpoint-dir "$dir" c half </dev/null
			echo "$step:$how: $status $output"
			if [ "$status" = 0 ]; then # interrupted when it was done
				[ "$how" = int ]
				[ -d "$dir/half/checkpoint" ]
				rm -r "$dir/half"
			elif [ "$how" = int ]; then
				has 'Error: checkpoint c: ' interrupted
				interrupted=$((interrupted + 1))
			fi
			[ -z "$(ls -A "$dir")" ]
			state_is c running
		done
	done <"$BATS_TEST_TMPDIR/steps"
	[ "$interrupted" -ge 3 ]
	wait_for 10 at_least c $(($(last c) + 1))
}

@test "a restore that fails leaves the container's files as they are" {
	cryopod run -d --name c --network none $IMAGE sh -c 'echo old >/f; touch /ready; while true; do sleep 0.1; done' >/dev/null
	wait_for 10 cryopod exec c test -e /ready
	cryopod checkpoint create -R c base
	cryopod exec c sh -c 'echo new >/f'
	cryopod kill c >/dev/null
	cryopod wait c >/dev/null
	rm "$(cryopod inspect --format '{{.StaticDir}}' c)/checkpoints/base/checkpoint/core-1.img"
	expect 125 cryopod container restore --checkpoint base c
	[ "$(cat "$(diff_of c)/f")" = new ]
	[ ! -e "$(diff_of c).undo" ]
	cryopod start c >/dev/null
	[ "$(cryopod inspect --format '{{.State.Status}}' c)" = running ]
}

@test "a restore that is killed: the next start has the container's files" {
	[ -x "$REPO/build/cryopod-faults" ] || skip "built without the program with faults"
	cryopod run -d --name c --network none $IMAGE sh -c '[ -e /f ] || echo old >/f; touch /ready; while true; do sleep 0.1; done' >/dev/null
	wait_for 10 cryopod exec c test -e /ready
	cryopod checkpoint create -R c base
	cryopod exec c sh -c 'echo new >/f'
	cryopod kill c >/dev/null
	cryopod wait c >/dev/null
	run env CRYO_FAULT=box:thaw:kill "$REPO/build/cryopod-faults" --root "$CP_ROOT" --runroot "$CP_RUN" container restore --checkpoint base c
	[ "$status" -eq 137 ]
	cryopod start c >/dev/null
	expect 0 cryopod exec c cat /f
	is new
	cryopod kill c >/dev/null
	cryopod wait c >/dev/null
	expect 0 cryopod container restore --checkpoint base c
	expect 0 cryopod exec c cat /f
	is old
}

@test "ls, rm, prune" {
	counter c
	for n in a b c d; do cryopod checkpoint create -R c $n >/dev/null; done
	expect 0 cryopod checkpoint ls c
	has "CHECKPOINT NAME" "ROOT FS" FROZEN
	expect 0 cryopod checkpoint ls -q c
	is $'a\nb\nc\nd'
	expect 0 cryopod checkpoint ls --format '{{.Name}} {{.Container}}' c
	has "a c"
	expect 0 cryopod checkpoint rm c b
	is b
	refuses 1 'checkpoint b does not exist for container c' cryopod checkpoint rm c b
	expect 0 cryopod checkpoint prune --force --keep 1 c
	is $'c a\nc c'
	expect 0 cryopod checkpoint ls -q
	is d
	refuses 125 'invalid checkpoint name a/b' cryopod checkpoint create c a/b
	cryopod kill c >/dev/null
	cryopod wait c >/dev/null
	refuses 125 'checkpoint nosuch does not exist for container c' cryopod container restore --checkpoint nosuch c
	cryopod rm -f -t 0 c >/dev/null
	expect 0 cryopod checkpoint ls -q
	is ""
}

@test "a removal, or one in the making, that is interrupted or killed: half a checkpoint is never seen, and the next command sweeps" {
	needs_engine
	counter c
	dir=$(cryopod inspect --format '{{.StaticDir}}' c)/checkpoints
	for n in a b d e; do cryopod checkpoint create -R c $n >/dev/null; done
	CRYOPOD_BIN=$REPO/build/cryopod-faults
	CRYO_FAULT=removal:files:kill expect 137 "$CP" checkpoint rm c a
	expect 0 "$CP" checkpoint ls -q c
	is $'b\nd\ne'
	refuses 1 'checkpoint a does not exist for container c' "$CP" checkpoint rm c a
	[ -d "$dir/.removed-a" ]
	CRYO_FAULT=removal:files:run CRYO_FAULT_RUN='kill $PPID' expect 143 "$CP" checkpoint prune --force --keep 1 c
	expect 0 "$CP" checkpoint ls -q c
	is $'d\ne'
	[ "$(ls -A "$dir" | tr '\n' ' ')" = ".removed-b d e " ]
	CRYO_FAULT=dump:memory:kill expect 137 "$CP" checkpoint create -R c f
	[ "$(ls -A "$dir" | tr '\n' ' ')" = ".new-f d e " ]
	expect 0 "$CP" checkpoint rm c d
	[ "$(ls -A "$dir")" = e ]
	CRYO_FAULT=dump:memory:kill expect 137 "$CP" checkpoint create -R c f
	expect 0 "$CP" checkpoint create -R c g
	[ "$(ls -A "$dir" | tr '\n' ' ')" = "e g " ]
	wait_for 10 at_least c $(($(last c) + 1))
}

@test "a directory of one's own" {
	counter c
	expect 0 cryopod checkpoint create --checkpoint-dir "$BATS_TEST_TMPDIR/mine" c x
	[ -s "$BATS_TEST_TMPDIR/mine/x/checkpoint/inventory.img" ]
	expect 0 cryopod checkpoint ls -q c
	is ""
	expect 0 cryopod checkpoint ls -q --checkpoint-dir "$BATS_TEST_TMPDIR/mine" c
	is x
	refuses 125 'checkpoint x does not exist' cryopod start --checkpoint x c
	expect 0 cryopod start --checkpoint x --checkpoint-dir "$BATS_TEST_TMPDIR/mine" c
	n=$(last c)
	wait_for 10 at_least c $((n + 2))
}

@test "inspect: processes, memory, descriptors, sockets, as text, JSON and page" {
	cryopod run -d --name web $IMAGE sh -c 'httpd -f -p 80 & exec 7</etc/passwd; while true; do sleep 1000; done' >/dev/null
	wait_for 10 cryopod exec web wget -q -O /dev/null http://127.0.0.1/etc/passwd
	# who has served it is gone, and there is the sleeper
	wait_for 10 eval '[ "$(cryopod top web args | wc -l)" -eq 4 ] && cryopod top web args | grep -q "^sleep 1000"'
	cryopod checkpoint create web shot
	expect 0 cryopod checkpoint inspect web shot
	has "Checkpoint:  shot" "Container:   web" "├─ httpd -f -p 80" "└─ sleep 1000" "tcp [::]:80 listening"
	expect 0 cryopod checkpoint inspect --files --mappings web shot
	has "/etc/passwd" "stack" "/bin/busybox"
	cryopod checkpoint inspect --format json web shot >"$BATS_TEST_TMPDIR/j"
	[ "$(jq -r '.[0].processes | length' "$BATS_TEST_TMPDIR/j")" -eq 3 ]
	[ "$(jq -r '.[0].processes[0].descriptors[] | select(.fd == 7) | .target' "$BATS_TEST_TMPDIR/j")" = /etc/passwd ]
	[ "$(jq '[.[0].processes[].memory.pages] | add' "$BATS_TEST_TMPDIR/j")" -gt 10 ]
	expect 0 cryopod checkpoint inspect --html "$BATS_TEST_TMPDIR/page.html" web shot
	python3 - "$BATS_TEST_TMPDIR/page.html" <<-'END'
	import html.parser, sys
	class Page(html.parser.HTMLParser):
	    tags, stack = {}, []
	    def handle_starttag(self, tag, attrs):
	        self.tags[tag] = self.tags.get(tag, 0) + 1
	        assert tag != "script" and not any(k in ("src", "href") for k, _ in attrs)
	        if tag not in ("meta", "br"):
	            self.stack.append(tag)
	    def handle_endtag(self, tag):
	        assert self.stack.pop() == tag, tag
	text = open(sys.argv[1]).read()
	p = Page()
	p.feed(text)
	assert not p.stack and p.tags["svg"] == 4 and p.tags["rect"] > 10, p.tags
	assert "httpd -f -p 80" in text
	END
	refuses 125 'is no checkpoint: there is no inventory.img' cryopod checkpoint inspect /tmp
	refuses 125 'container web has no checkpoint' cryopod checkpoint inspect web
}

@test "diff: what has changed between two" {
	counter c
	cryopod checkpoint create -R c a >/dev/null
	cryopod exec c sh -c 'echo x >/added; rm /etc/group'
	wait_for 10 at_least c $(($(last c) + 3))
	cryopod checkpoint create -R c b >/dev/null
	expect 0 cryopod checkpoint diff c a b
	has "PID" "1" "changed" "written   /added" "deleted   /etc/group" "changed   /count"
	expect 0 bash -c "$CP checkpoint diff --format json c a b | jq -r '.processes[] | select(.pid == 1) | .pages_changed > 0'"
	is true
	expect 0 bash -c "$CP checkpoint diff --format json c a a | jq -c '[([.processes[].pages_changed] | add), (.files | length)]'"
	is "[0,0]"
}

@test "inspect: an exported archive" {
	counter c
	cryopod container checkpoint -e "$BATS_TEST_TMPDIR/c.tar.zst" c
	expect 0 cryopod checkpoint inspect "$BATS_TEST_TMPDIR/c.tar.zst"
	has "Container:   c" "COMMAND" "sh -c i=0; while true"
	# One that has ended and that nobody has waited for has no memory.
	cryopod run -d --name z --network none $IMAGE sh -c 'sleep 0 & exec sleep 1000' >/dev/null
	wait_for 10 bash -c "grep -q 'State:.Z' /proc/\$(cat /proc/$(pid_of z)/task/$(pid_of z)/children | tr -d ' ')/status"
	for how in none gzip; do
		cryopod container checkpoint -R -c $how -e "$BATS_TEST_TMPDIR/z.tar" z
		expect 0 cryopod checkpoint inspect "$BATS_TEST_TMPDIR/z.tar"
		has "sleep 1000" "└─ "
	done
	echo no >"$BATS_TEST_TMPDIR/no"
	refuses 125 "$BATS_TEST_TMPDIR/no" cryopod checkpoint inspect "$BATS_TEST_TMPDIR/no"
}

@test "help, usage and errors have the name that it is called by" {
	for name in docker podman; do
		ln -s "$CRYOPOD_BIN" "$BATS_TEST_TMPDIR/$name"
		p="$BATS_TEST_TMPDIR/$name"
		expect 0 "$p" --help
		has "  $name [options] [command]"
		[[ "$output" != *cryopod* ]]
		expect 0 "$p" container migrate --help
		has "  $name container migrate [options] CONTAINER [USER@]HOST" "  $name container migrate web backup.example.com"
		[[ "$output" != *cryopod* ]]
		refuses 125 "unrecognized command \`$name nosuch\`" "$p" nosuch
		has "Try '$name --help' for more information"
		refuses 125 "See '$name ps --help'" "$p" ps --nosuch
		expect 125 "$p" volume
		has "Error: missing command '$name volume COMMAND'"
		refuses 125 "\"$name wait\" requires a name" "$p" --root "$CP_ROOT" --runroot "$CP_RUN" wait
		refuses 125 "\`$name ps\` takes no arguments" "$p" --root "$CP_ROOT" --runroot "$CP_RUN" ps x
	done
	expect 0 "$BATS_TEST_TMPDIR/podman" --version
	[[ "$output" =~ ^podman\ version\ [0-9] ]]
	expect 0 "$BATS_TEST_TMPDIR/docker" --version
	[[ "$output" =~ ^Docker\ version\ [0-9.]+.*,\ build\ cryopod$ ]]
}

@test "as docker: checkpoint create, ls, rm, and start --checkpoint" {
	ln -s "$CRYOPOD_BIN" "$BATS_TEST_TMPDIR/docker"
	docker() { "$BATS_TEST_TMPDIR/docker" --root "$CP_ROOT" --runroot "$CP_RUN" "$@"; }
	docker run -d --name c --network none $IMAGE sh -c "$FAST_LOOP" >/dev/null
	wait_for 10 at_least c 3
	expect 0 docker checkpoint create --leave-running c cp1
	is cp1
	expect 0 docker checkpoint ls c
	is $'CHECKPOINT NAME\ncp1'
	expect 0 docker checkpoint create --checkpoint-dir "$BATS_TEST_TMPDIR/d" c cp2
	expect 0 docker start --checkpoint cp2 --checkpoint-dir "$BATS_TEST_TMPDIR/d" c
	refuses 125 'is running or paused, cannot restore' docker start --checkpoint cp1 c
	docker stop -t 0 c
	expect 0 docker start --checkpoint cp1 c
	expect 0 docker checkpoint rm c cp1
	expect 0 docker checkpoint ls c
	is 'CHECKPOINT NAME'
}
