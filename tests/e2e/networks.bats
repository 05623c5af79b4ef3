# SPDX-License-Identifier: Apache-2.0
# Networks that users make: create, ls, inspect, exists, rm, prune, and containers on them.

load ../lib/helpers
setup_file() { engine_setup; }
teardown() {
	engine_clear
	cryopod network prune -f >/dev/null
}
teardown_file() { engine_teardown; }

ip_of() { cryopod inspect --format "{{(index .NetworkSettings.Networks \"$2\").IPAddress}}" "$1"; }
mac_of() { cryopod inspect --format "{{(index .NetworkSettings.Networks \"$2\").MacAddress}}" "$1"; }

@test "a network is created once, with a subnet and a bridge of its own" {
	expect 0 cryopod network create --label use=test back
	is back
	refuses 125 'network name back already used: network already exists' cryopod network create back
	expect 0 cryopod network create --ignore back
	expect 0 cryopod network create --subnet 10.99.7.0/24 --gateway 10.99.7.9 --internal front
	expect 0 cryopod network inspect front --format '{{(index .Subnets 0).Subnet}} {{(index .Subnets 0).Gateway}} {{.Internal}} {{.Driver}}'
	is "10.99.7.0/24 10.99.7.9 true bridge"
	[ "$(cryopod network inspect front --format '{{.NetworkInterface}}')" != "$(cryopod network inspect back --format '{{.NetworkInterface}}')" ]
	expect 0 cryopod network ls
	has "NETWORK ID    NAME        DRIVER" "  back        bridge" "  cryopod     bridge"
	expect 0 cryopod network ls -q --filter label=use=test
	is back
	expect 0 cryopod network exists "$(cryopod network inspect back --format '{{slice .ID 0 12}}')"
	expect 0 cryopod network rm back front
	is $'back\nfront'
	expect 1 cryopod network exists back
}

@test "what cannot be made is refused" {
	cryopod network create --subnet 10.99.7.0/24 one
	refuses 125 'subnet 10.99.0.0/16 is already used on the host or by another config' cryopod network create --subnet 10.99.0.0/16 two
	refuses 125 'invalid CIDR address: bogus' cryopod network create --subnet bogus two
	refuses 125 'gateway 10.98.0.1 not in subnet 10.99.1.0/24' cryopod network create --subnet 10.99.1.0/24 --gateway 10.98.0.1 two
	refuses 125 'unsupported driver foo: invalid argument' cryopod network create -d foo two
	refuses 125 'network name a/b invalid: names must match' cryopod network create a/b
	refuses 125 'network name host is one of the network modes' cryopod network create host
	refuses 125 'default network cryopod cannot be removed' cryopod network rm cryopod
	refuses 1 'unable to find network with name or ID nosuch: network not found' cryopod network rm nosuch
	expect 1 cryopod network exists two
}

@test "containers on it: addresses as asked for, kept by a checkpoint, others reach them" {
	cryopod network create --subnet 10.99.8.0/24 --ip-range 10.99.8.64/26 net
	cryopod run -d --name a --network net $IMAGE httpd -f -p 80 -h /etc
	cryopod run -d --name b --network net:ip=10.99.8.7,mac=92:d0:c6:0a:29:38 $IMAGE sleep 1000
	[[ "$(ip_of a net)" == 10.99.8.6[5-9] ]]
	[ "$(ip_of b net) $(mac_of b net)" = "10.99.8.7 92:d0:c6:0a:29:38" ]
	wait_for 5 cryopod exec b wget -q -O - "http://$(ip_of a net)/passwd" # it may not listen yet
	expect 0 cryopod exec b wget -q -O - "http://$(ip_of a net)/passwd"
	has joe
	before="$(ip_of a net) $(mac_of a net)"
	cryopod container checkpoint a
	refuses 2 '"net" has associated containers with it' cryopod network rm net
	cryopod container restore a
	[ "$(ip_of a net) $(mac_of a net)" = "$before" ]
	expect 0 cryopod exec b wget -q -O - "http://$(ip_of a net)/passwd"
	has joe
	cryopod container checkpoint b
	cryopod container restore --ignore-static-ip --ignore-static-mac b
	[ "$(ip_of b net)" != 10.99.8.7 ]
	[ "$(mac_of b net)" != 92:d0:c6:0a:29:38 ]
	refuses 125 'requested static ip 10.98.0.1 not in any subnet on network net' cryopod run --network net:ip=10.98.0.1 $IMAGE true
	refuses 125 'unknown bridge network option: foo=1 in --network net:foo=1' cryopod run --network net:foo=1 $IMAGE true
	expect 0 cryopod network rm -f -t 0 net
	is net
	expect 0 cryopod ps -aq
	is ""
	expect 0 bash -c 'ip -4 -o addr | grep -c 10.99.8. || true'
	is 0
}

@test "two networks do not see each other's addresses as theirs" {
	cryopod network create one
	cryopod network create two
	cryopod run -d --name a --network one $IMAGE sleep 1000
	cryopod run -d --name b --network two $IMAGE sleep 1000
	[ "$(ip_of a one)" != "$(ip_of b two)" ]
	[ -n "$(ip_of a one)" ]
	expect 0 cryopod network prune -f
	is ""
	cryopod rm -fa -t 0
	expect 0 cryopod network prune -f
	is $'one\ntwo'
}

# stuck TABLE NAME: the row cannot be deleted.
stuck() {
	python3 - "$CP_ROOT/db.sqlite" "$@" <<-'END'
	import sqlite3, sys
	with sqlite3.connect(sys.argv[1]) as db:
	    db.execute(f"CREATE TRIGGER stuck_{sys.argv[2]} BEFORE DELETE ON {sys.argv[2]} "
	        f"WHEN old.name = '{sys.argv[3]}' BEGIN SELECT RAISE(ABORT, 'it is stuck'); END")
	END
}
loosen() {
	python3 - "$CP_ROOT/db.sqlite" "$@" <<-'END'
	import sqlite3, sys
	with sqlite3.connect(sys.argv[1]) as db:
	    db.execute(f"DROP TRIGGER stuck_{sys.argv[2]}")
	END
}

@test "prune goes on after one that cannot be removed" {
	needs_engine
	for kind in network volume; do
		for name in one two three; do cryopod $kind create $name; done
		[ $kind = network ] || touch "$(cryopod volume inspect --format '{{.Mountpoint}}' two)/file"
		stuck ${kind}s two
		run --separate-stderr cryopod $kind prune -f
		echo "$kind: $status $output $stderr"
		[ "$status" = 125 ]
		[ "$(sort <<<"$output")" = $'one\nthree' ]
		[[ $stderr == "Error: "*"it is stuck"* && $(grep -c . <<<"$stderr") = 1 ]]
		[ $kind = network ] || [ -e "$(cryopod volume inspect --format '{{.Mountpoint}}' two)/file" ]
		loosen ${kind}s
		expect 0 cryopod $kind prune -f
		is two
	done
}
