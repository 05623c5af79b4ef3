# SPDX-License-Identifier: Apache-2.0
# Programs as people run them, frozen and thawed twice: C libraries, languages, much of everything.

load ../lib/helpers
setup_file() {
	engine_setup
	mkdir "$BATS_FILE_TMPDIR/p"
	cc -O1 -pthread -static -o "$BATS_FILE_TMPDIR/p/heavy" "$REPO/tests/workloads/heavy.c"
	cc -O1 -pthread -o "$BATS_FILE_TMPDIR/p/heavy-dynamic" "$REPO/tests/workloads/heavy.c"
	musl-gcc -O1 -pthread -static -o "$BATS_FILE_TMPDIR/p/heavy-musl" "$REPO/tests/workloads/heavy.c"
}
setup() { needs_engine; }
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

HOST="-v /usr:/usr:ro -v /lib:/lib:ro -v /lib64:/lib64:ro"

lines() { cryopod logs "$1" | wc -l; }
has_lines() { [ "$(lines "$1")" -ge "$2" ]; }

# thawed CTR OPTIONS... -- COMMAND...: a program that prints a line at a time is frozen and thawed
# twice, and prints on; each line is compared with its number by the function line_is, if there is one.
thawed() {
	local name=$1 options=() n
	shift
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	shift
	cryopod run -d --name "$name" --network none -v "$BATS_FILE_TMPDIR/p:/p:ro" "${options[@]}" $IMAGE "$@" >/dev/null
	wait_for 30 has_lines "$name" 3
	for _ in 1 2; do
		cycle "$name"
		n=$(lines "$name")
		wait_for 30 has_lines "$name" $((n + 3))
	done
	cryopod logs "$name" | awk -v format="$FORMAT" '$0 != sprintf(format, NR - 1) {print "line " NR ": " $0; exit 1}'
}

@test "static C, musl, dynamic glibc" {
	FORMAT="%d bad 0"
	thawed static -- /p/heavy 20 4 100
	thawed musl -- /p/heavy-musl 20 4 100
	thawed dynamic $HOST -- /p/heavy-dynamic 20 4 100
}

@test "500 threads" { FORMAT="%d bad 0" thawed a -- /p/heavy 500 0 0; }
@test "10,000 descriptors" { FORMAT="%d bad 0" thawed a --ulimit nofile=12000:12000 -- /p/heavy 0 0 10000; }
@test "300 MB in huge pages, some locked" { FORMAT="%d bad 0" thawed a -- /p/heavy 0 300 0; }
@test "50 MB with a limit of 64 MB" { FORMAT="%d bad 0" thawed a -m 64m -- /p/heavy 2 50 0; }

@test "200 processes; as many as are allowed" {
	FORMAT="%d" thawed a -- sh -c "for i in \$(seq 200); do sleep 1000 & done; $FAST_LOOP"
	[ "$(cryopod exec a ps | grep -c ' sleep 1000$')" -eq 200 ]
	FORMAT="%d" thawed b --pids-limit 2 -- sh -c "$FAST_LOOP"
	cryopod run -d --name c --network none --pids-limit 1 $IMAGE sleep 1000 >/dev/null
	cycle c
	state_is c running
}

@test "few descriptors are allowed" { FORMAT="%d" thawed a --ulimit nofile=16:16 -- sh -c "$FAST_LOOP"; }

@test "python3: threads, a subprocess, processes with queues, asyncio" {
	export FORMAT=%d
	thawed threads $HOST -- /usr/bin/python3 -c '
import concurrent.futures as c, time
e, n = c.ThreadPoolExecutor(20), 0
while True:
    print(sum(e.map(lambda x: x, [n] + [0] * 99)), flush=True); n += 1; time.sleep(0.05)'
	thawed subprocess $HOST -- /usr/bin/python3 -c '
import subprocess, time
p, n = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE), 0
while True:
    p.stdin.write(b"%d\n" % n); p.stdin.flush()
    print(p.stdout.readline().decode().strip(), flush=True); n += 1; time.sleep(0.05)'
	thawed queues $HOST -- /usr/bin/python3 -c '
import multiprocessing as m, time
def work(q, o):
    while True: o.put(q.get())
q, o, n = m.Queue(), m.Queue(), 0
for i in range(3): m.Process(target=work, args=(q, o)).start()
while True: q.put(n); print(o.get(), flush=True); n += 1; time.sleep(0.05)'
}

@test "shells and perl" {
	export FORMAT=%d
	thawed bash $HOST -- /usr/bin/bash -c 'i=0; while true; do echo $i; ((i++)); sleep 0.05; done | while read x; do echo $x; done'
	thawed awk -- awk 'BEGIN {for (;;) {print i + 0; i++; system("sleep 0.05")}}'
	thawed perl $HOST -- /usr/bin/perl -e '$| = 1; $SIG{ALRM} = sub {print $i++ + 0, "\n"}; use Time::HiRes; Time::HiRes::setitimer(0, 0.05, 0.05); sleep 1000 while 1'
}

@test "busy threads and pipes that are never empty" {
	FORMAT=%d thawed a -- sh -c "yes | while read x; do :; done & while :; do :; done & $FAST_LOOP"
}
