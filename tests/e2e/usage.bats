# SPDX-License-Identifier: Apache-2.0
# What containers, images and volumes take: stats, system df; and what gives it back: image prune, system prune.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod volume rm -fa >/dev/null
}
teardown_file() { engine_teardown; }

# What starts a container is counted, too, until it has become the program.
has_pids() { row "$1" | jq -e --arg n "$2" '.pids == $n'; }
row() { cryopod stats --no-stream --format json "$@" | jq -er '.[0]'; }

@test "stats: the table, and what has no value" {
	needs_engine
	cryopod run -d --name a $IMAGE sleep 1000 >/dev/null
	cryopod create --name b $IMAGE true >/dev/null
	wait_for 10 has_pids a 1
	expect 0 cryopod stats --no-stream
	[[ "${lines[0]}" =~ ^ID\ +NAME\ +CPU\ %\ +MEM\ USAGE\ /\ LIMIT\ +MEM\ %\ +NET\ IO\ +BLOCK\ IO\ +PIDS\ +CPU\ TIME\ +AVG\ CPU\ %$ ]]
	[ "${#lines[@]}" = 2 ]
	[[ "${lines[1]}" =~ ^[0-9a-f]{12}\ +a\ .*[kM]B\ /\ [0-9.]+[kMGT]B\ .*\ 1\ +[0-9.]+m?s\  ]]
	expect 0 cryopod stats --no-stream -a
	[ "${#lines[@]}" = 3 ]
	[[ "$output" =~ b\ +--\ +--\ /\ --\ +--\ +--\ /\ --\ +--\ /\ --\ +--\ +0s\ +-- ]]
	expect 0 cryopod stats --no-stream b
	[ "${#lines[@]}" = 2 ]
	expect 0 cryopod stats --no-stream --no-trunc --format '{{.ID}} {{.PIDS}}' a
	[[ "$output" =~ ^[0-9a-f]{64}\ 1$ ]]
	expect 0 cryopod stats --no-stream --format 'table {{.Name}} {{.MemUsageBytes}}' a
	[[ "${lines[0]}" =~ ^NAME\ +MEM\ USAGE\ /\ LIMIT$ ]]
	[[ "${lines[1]}" =~ ^a\ +[0-9.]+[KM]iB\ /\ [0-9.]+[MGT]iB$ ]]
}

@test "stats: what is counted is what it does" {
	needs_engine
	cryopod run -d --name a --memory 64m $IMAGE sh -c 'sleep 1000 & x=$(head -c 8000000 /dev/zero | tr "\0" x); i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo done; sleep 1000; echo $x' >/dev/null
	wait_for 30 log_has a done
	wait_for 10 has_pids a 3
	# 67108864 bytes, and 8 MB of them are used
	row a | jq -e '(.mem_usage | test("^[0-9.]+MB / 67.11MB$")) and (.mem_usage | split("M")[0] | tonumber > 7)
		and (.mem_percent | rtrimstr("%") | tonumber > 10) and .pids == "3"
		and (.cpu_time | test("^[0-9.]+m?s$")) and (.cpu_percent == .avg_cpu) and (keys | length == 10)'
	before=$(row a | jq -r '.net_io | split(" / ")[0]')
	pid=$(pid_of a)
	ip=$(cryopod inspect --format '{{.NetworkSettings.IPAddress}}' a)
	# something comes in: answers to what is asked, even if it is "refused"
	grown() {
		(exec 7<>"/dev/tcp/$ip/9") 2>/dev/null || true
		[ "$(row a | jq -r '.net_io | split(" / ")[0]')" != "$before" ]
	}
	wait_for 10 grown
	expect 0 cryopod pause a
	has_pids a 3
	cryopod unpause a >/dev/null
}

@test "stats goes on being printed; after a thaw it counts anew" {
	needs_engine
	looper a
	"$CP" stats --interval 1 --format '{{.Name}}' a >"$BATS_TEST_TMPDIR/out" &
	wait_for 20 eval '[ "$(grep -c "^a$" "$BATS_TEST_TMPDIR/out")" -ge 3 ]'
	kill $!
	wait $! || true
	cycle a
	row a | jq -e '.pids != "--" and .mem_usage != "-- / --"'
}

@test "stats: what was asked for wrongly" {
	refuses 125 '--all, --latest and containers cannot be used together' cryopod stats -a nosuch
	refuses 125 'no container with name or ID "nosuch" found: no such container' cryopod stats --no-stream nosuch
	refuses 125 'invalid interval, must be a positive number greater zero' cryopod stats --interval 0
}

df() { cryopod system df --format json | jq -er ".[] | select(.Type == \"$1\") | $2"; }

@test "system df: what is there, what is in use, what could be had back" {
	needs_engine
	cryopod volume create idle >/dev/null
	cryopod run -d --name up -v used:/v --network none $IMAGE sh -c 'head -c 30000 /dev/zero >/v/f; head -c 5000 /dev/zero >/x; echo done; sleep 1000' >/dev/null
	cryopod run --name down --network none $IMAGE sh -c 'head -c 7000 /dev/zero >/x'
	wait_for 10 log_has up done
	expect 0 cryopod system df
	[[ "${lines[0]}" =~ ^TYPE\ +TOTAL\ +ACTIVE\ +SIZE\ +RECLAIMABLE$ ]]
	[[ "${lines[2]}" =~ ^Containers\ +2\ +1\ +12kB\ +7kB\ \(58%\)$ ]]
	[[ "${lines[3]}" =~ ^Local\ Volumes\ +2\ +1\ +30kB\ +0B\ \(0%\)$ ]]
	df Images '.Total == 1 and .Active == 1 and .RawSize > 1000000 and .RawReclaimable == 0'
	cryopod rm -fat 0 >/dev/null
	df Images '.Active == 0 and .RawReclaimable == .RawSize and (.Reclaimable | endswith(" (100%)"))'
	df "Local Volumes" '.Active == 0 and .Reclaimable == "30kB (100%)" and .TotalCount == 2'
	expect 0 cryopod system df --format '{{.Type}} {{.Total}}'
	is $'Images 1\nContainers 0\nLocal Volumes 2'
}

@test "image prune: what has no name; with -a what no container uses" {
	needs_engine
	for n in 1 2; do
		echo "$n" >"$BATS_TEST_TMPDIR/f"
		tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/f.tar" f
		cryopod import -q "$BATS_TEST_TMPDIR/f.tar" other >/dev/null
	done
	[ "$(cryopod images -q --filter dangling=true | wc -l)" = 1 ]
	expect 0 cryopod image prune <<<n
	is $'WARNING! This command removes all dangling images.\nAre you sure you want to continue? [y/N] '
	old=$(cryopod images -q --no-trunc --filter dangling=true)
	expect 0 cryopod image prune -f --filter label=nosuch
	is ""
	expect 0 cryopod image prune -f
	is "${old#sha256:}"
	expect 0 cryopod image prune -f
	is ""
	cryopod create --name c --network none $IMAGE true >/dev/null
	expect 0 cryopod image prune -af
	[[ "$output" =~ $ID64 ]]
	expect 0 cryopod images --format '{{.Repository}}'
	is localhost/busybox
	refuses 125 '"nosuch" is an invalid prune filter' cryopod image prune -f --filter nosuch=1
}

@test "system prune: containers, volumes, images, networks; what runs, is frozen or is in use stays" {
	needs_engine
	looper up -v used:/v
	looper frozen
	cryopod container checkpoint frozen >/dev/null
	cryopod run --name down --network none -v idle:/v $IMAGE sh -c 'echo 123 >/v/f; echo x >/x'
	cryopod network create away >/dev/null
	cryopod tag $IMAGE kept
	expect 0 cryopod system prune <<<n
	has $'WARNING! This command removes:\n\t- all stopped containers\n\t- all networks not used by at least one container\n\t- all dangling images\n'
	down=$(cryopod inspect --format '{{.Id}}' down)
	expect 0 cryopod system prune -f
	is "$(printf 'Deleted Containers\n%s\nDeleted Networks\naway\nTotal reclaimed space: 2B' "$down")"
	expect 0 cryopod system prune -f --volumes
	is $'Deleted Volumes\nidle\nTotal reclaimed space: 4B'
	expect 0 cryopod system prune -af --volumes
	is "Total reclaimed space: 0B"
	expect 0 cryopod container restore frozen
	goes_on frozen
	goes_on up
	expect 0 cryopod ps -aq
	[ "${#lines[@]}" = 2 ]
}
