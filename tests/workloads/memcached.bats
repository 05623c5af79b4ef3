# SPDX-License-Identifier: Apache-2.0
# memcached with 64 MiB: every key is intact; connected clients go on.

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

start() { ctr -- memcached -u memcache -m 256 -c 100; }
ready() { talk "$(ip_of w)" 11211 && say version && hear 1 | grep -q ^VERSION && hang_up; }

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
