# SPDX-License-Identifier: Apache-2.0
# memcached with 64 MiB: every key is intact; connected clients go on.

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

start() { ctr -- memcached -u memcache -m 256 -c 100; }
ready() { talk "$(ip_of w)" 11211 && say version && hear 1 | grep -q ^VERSION; }

# keys set|get: 65,536 keys of 1000 bytes, each of its own content, over one connection.
keys() {
	outside python3 - "$1" "$(ip_of w)" <<-'END'
	import socket, sys
	s = socket.create_connection((sys.argv[2], 11211))
	f = s.makefile("rb")
	value = lambda i: (b"%d " % i * 1000)[:1000]
	for base in range(0, 65536, 64):
	    if sys.argv[1] == "set":
	        s.sendall(b"".join(b"set k%d 0 0 1000\r\n%s\r\n" % (i, value(i)) for i in range(base, base + 64)))
	        assert all(f.readline() == b"STORED\r\n" for i in range(64))
	    else:
	        s.sendall(b"get " + b" ".join(b"k%d" % i for i in range(base, base + 64)) + b"\r\n")
	        for i in range(base, base + 64):
	            assert f.readline() == b"VALUE k%d 0 1000\r\n" % i, i
	            assert f.read(1002) == value(i) + b"\r\n", i
	        assert f.readline() == b"END\r\n"
	END
}

fill() { keys set; }
verify() { keys get; }

@test "every cycle" { every_cycle; }

# A client in the container: counts up a key and prints what it is now.
INSIDE='
import socket, time
def connect():
    while True:
        try: return socket.create_connection(("127.0.0.1", 11211)).makefile("rwb", 0)
        except ConnectionRefusedError: time.sleep(0.05)
f = connect()
f.write(b"set n 0 0 1\r\n0\r\n"), f.readline()
while True:
    try:
        f.write(b"incr n 1\r\n")
        print(int(f.readline()) - 1, flush=True)
    except (OSError, ValueError) as e: # closed: the next is another number
        print("connected again", flush=True)
        f = connect()
    time.sleep(0.02)'

connected() {
	ctr -- sh -c 'memcached -u memcache & exec python3 -c "$1"' sh "$INSIDE"
	answers
	wait_for 20 log_reaches w 2
	talk "$(ip_of w)" 11211
	say set k 0 0 5
	say hello
	[ "$(hear)" = STORED ]
}
goes_on_talking() {
	say get k
	[ "$(hear)" = "VALUE k 0 5" ] && [ "$(hear)" = hello ] && [ "$(hear)" = END ]
}
# connections [LIMIT]: how many it has, of those it counts itself.
connections() {
	say stats
	while read -r -t 5 -u "$TALK" _ name n && [ "$name" != curr_connections ]; do :; done
	echo "connections: $n"
	[ "${n%$'\r'}" -le "$1" ]
}

@test "connected clients, outside and inside, go on" {
	connected
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	for _ in $(seq "$CYCLES"); do
		cycle_w
		goes_on_talking
		goes_on w
		freeze -R
		goes_on_talking
	done
	# What is sent while it is frozen arrives.
	freeze
	say get k
	thaw
	[ "$(hear)" = "VALUE k 0 5" ]
	[ "$(hear)" = hello ]
	[ "$(hear)" = END ]
	# The container's namespace made anew: the same address and the same MAC address.
	freeze
	reboot
	thaw
	goes_on_talking
	goes_on w
}

@test "connections are refused by name before anything is touched; --tcp-close closes them" {
	connected
	pid=$(pid_of w)
	expect 125 cryopod container checkpoint w
	has memcached "$(ip_of w):11211" '127.0.0.1:11211' '--tcp-established'
	[ "$(pid_of w)" = "$pid" ]
	goes_on_talking
	goes_on w
	freeze --tcp-established
	thaw --tcp-close
	wait_for 10 log_has w "connected again"
	# Ours got a reset.
	say get k
	run ! hear 5
	hang_up
	talk "$(ip_of w)" 11211
	goes_on_talking
}

@test "peers that have gone meanwhile do not hang" {
	start
	answers
	CHECKPOINT=(--tcp-established) RESTORE=(--tcp-established)
	outside python3 - "$(ip_of w)" <<-'END' &
	import socket, struct, sys, time
	a, b = (socket.create_connection((sys.argv[1], 11211)) for i in range(2))
	a.sendall(b"get x\r\n"), b.sendall(b"get x\r\n"), a.recv(100), b.recv(100)
	open("/tmp/connected", "w")
	while True:
	    try: open("/tmp/frozen"); break
	    except FileNotFoundError: time.sleep(0.02)
	b.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)) # close(2) resets it
	END
	wait_for 10 outside test -e /tmp/connected
	talk "$(ip_of w)" 11211
	run ! connections 3
	freeze
	outside touch /tmp/frozen
	wait $!
	thaw
	wait_for 20 connections 2
}
