# SPDX-License-Identifier: Apache-2.0
# The default bridge, fixed addresses, published ports, none, host, container:.

load ../lib/helpers
setup_file() {
	engine_setup
	# Each root has a subnet of its own: "10.88.0." or another.
	cryopod run -d --name first $IMAGE sleep 100 >/dev/null
	NET=$(cryopod inspect --format '{{.NetworkSettings.Gateway}}' first)
	export NET=${NET%1}
}
teardown() { engine_clear; }
teardown_file() { engine_teardown; }

# serve NAME OPTIONS...: a web server that serves the container's /etc/passwd.
serve() {
	local name=$1
	shift
	cryopod run -d --name "$name" "$@" $IMAGE httpd -f -p 80 -h /etc >/dev/null
	wait_for 5 curl -sf "http://$(ip_of "$name")/passwd"
}
ip_of() { cryopod inspect --format '{{.NetworkSettings.IPAddress}}' "$1"; }

# reaches URL: what the server serves comes.
reaches() { curl -sf -m 30 "$1" | grep -q ^joe:; }

@test "the default network: an address, a route, names in /etc/hosts, a bridge on the host" {
	expect 0 cryopod run --rm $IMAGE sh -c 'ip -4 -o addr show eth0; ip route; ip -o link | wc -l; grep "$(hostname)" /etc/hosts'
	[[ "$output" =~ inet\ ($NET[0-9]+)/([0-9]+) ]]
	address=${BASH_REMATCH[1]} bits=${BASH_REMATCH[2]}
	has "default via ${NET}1 dev eth0" $'\n2\n' "$address"
	cryopod run -d --name a $IMAGE sleep 100 >/dev/null
	ip -4 -o addr | grep -qF " ${NET}1/$bits "
	[ "$(ip_of a)" = "$(cryopod exec a ip -4 -o addr show eth0 | sed 's/.*inet \([0-9.]*\).*/\1/')" ]
	expect 0 cryopod inspect --format '{{.NetworkSettings.Gateway}} {{.NetworkSettings.IPPrefixLen}} {{len .NetworkSettings.Networks}}' a
	is "${NET}1 $bits 1"
	[ "$(cryopod inspect --format '{{.NetworkSettings.MacAddress}}' a)" = "$(cryopod exec a cat /sys/class/net/eth0/address)" ]
	[ -e "$(cryopod inspect --format '{{.NetworkSettings.SandboxKey}}' a)" ]
	expect 0 busybox ping -c 1 -W 30 "$(ip_of a)"
}

@test "containers on the bridge reach each other; each has its own address" {
	serve w
	cryopod run -d --name other $IMAGE sleep 100 >/dev/null
	[ "$(ip_of w)" != "$(ip_of other)" ]
	expect 0 cryopod exec other sh -c "printf 'GET /passwd HTTP/1.0\r\n\r\n' | nc $(ip_of w) 80"
	has joe
}

@test "an address is free again when its container is gone" {
	first=$(cryopod run --rm $IMAGE ip -4 -o addr show eth0)
	for _ in 1 2 3; do cryopod run --rm $IMAGE true; done
	cryopod run -d --name a --ip "$(sed 's/.*inet \([0-9.]*\).*/\1/' <<<"$first")" $IMAGE sleep 100 >/dev/null
	state_is a running
}

@test "--ip and --mac-address" {
	expect 0 cryopod run -d --name a --ip ${NET}77 --mac-address 02:00:00:00:00:07 $IMAGE sleep 100
	id=$output
	expect 0 cryopod exec a sh -c 'ip -4 -o addr show eth0; cat /sys/class/net/eth0/address'
	has "${NET}77/" 02:00:00:00:00:07
	expect 0 cryopod inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}' a
	is "${NET}77 02:00:00:00:00:07"
	# The same again after a restart.
	expect 0 cryopod restart -t 0 a
	expect 0 cryopod exec a ip -4 -o addr show eth0
	has "${NET}77/"
	cannot_start "IPAM error: requested ip address ${NET}77 is already allocated to container ID $id" cryopod run --name b --ip ${NET}77 $IMAGE true
	cannot_start 'requested static ip 10.250.7.7 not in any subnet on network' cryopod run --name c --ip 10.250.7.7 $IMAGE true
	refuses 125 '"bogus" is not an ip address' cryopod run --ip bogus $IMAGE true
	refuses 125 'address bogus: invalid MAC address' cryopod run --mac-address bogus $IMAGE true
	refuses 125 'unable to find network with name or ID nosuch: network not found' cryopod run --network nosuch $IMAGE true
}

@test "a new run has new addresses, a checkpoint of an earlier one those of its time" {
	cryopod run -d --name a $IMAGE sleep 100 >/dev/null
	addresses() { cryopod inspect --format '{{.NetworkSettings.IPAddress}} {{.NetworkSettings.MacAddress}}' a; }
	first=$(addresses)
	cryopod container checkpoint --leave-running a
	cryopod checkpoint create --leave-running a early
	cryopod restart -t 0 a
	second=$(addresses)
	[ "${first% *}" != "${second% *}" ]
	[ "${first#* }" != "${second#* }" ]
	cryopod stop -t 0 a
	expect 0 cryopod container restore --keep a
	[ "$(addresses)" = "$first" ]
	expect 0 cryopod exec a ip -4 -o addr show eth0
	has "inet ${first% *}/"
	cryopod restart -t 0 a
	cryopod stop -t 0 a
	expect 0 cryopod container restore --checkpoint early a
	[ "$(addresses)" = "$first" ]
	cryopod restart -t 0 a
	cryopod run -d --name b --ip "${first% *}" $IMAGE sleep 100 >/dev/null
	cryopod stop -t 0 a
	refuses 125 "${first% *} is already allocated" cryopod container restore --keep a
	has '--ignore-static-ip'
	expect 0 cryopod container restore --keep --ignore-static-ip a
	[ "$(addresses)" != "$first" ]
}

@test "-p: reachable from the host, on the address that was asked for, until the container ends" {
	serve w -p 8081:80 -p 127.0.0.1:8082:80
	reaches http://127.0.0.1:8081/passwd
	reaches http://${NET}1:8081/passwd
	reaches http://127.0.0.1:8082/passwd
	run ! curl -sf -m 1 http://${NET}1:8082/passwd
	expect 0 cryopod port w
	[ "$(sort <<<"$output")" = $'80/tcp -> 0.0.0.0:8081\n80/tcp -> 127.0.0.1:8082' ]
	expect 0 cryopod ps --format '{{.Ports}}'
	is '0.0.0.0:8081->80/tcp, 127.0.0.1:8082->80/tcp'
	expect 0 cryopod inspect --format '{{(index (index .NetworkSettings.Ports "80/tcp") 0).HostPort}}' w
	is 8081
	cryopod stop -t 0 w
	run ! curl -sf -m 2 http://127.0.0.1:8081/passwd
	# The port can be taken again.
	cryopod rm w
	serve w2 -p 8081:80
	reaches http://127.0.0.1:8081/passwd
}

@test "-p: ranges, protocols, a free port" {
	serve w -p 9000-9002:80-82 -p 9053:53/udp -p 80
	expect 0 cryopod port w 81
	is 0.0.0.0:9001
	expect 0 cryopod port w 53/udp
	is 0.0.0.0:9053
	expect 0 cryopod ps --format '{{.Ports}}'
	has '0.0.0.0:9000-9002->80-82/tcp' '0.0.0.0:9053->53/udp'
	refuses 125 'failed to find published port "99"' cryopod port w 99
	port=$(cryopod port w 80 | sed 's/.*://' | grep -v 9000)
	reaches "http://127.0.0.1:$port/passwd"
	expect 0 cryopod port -a
	[[ "${lines[0]}" =~ ^[0-9a-f]{12}$'\t'[0-9]+/(tcp|udp)\ -\>\ 0\.0\.0\.0:[0-9]+$ ]]
	refuses 125 'invalid port number' cryopod run -p bogus $IMAGE true
	refuses 125 'port numbers must be between 1 and 65535 (inclusive), got 70000' cryopod run -p 70000:80 $IMAGE true
}

@test "-p: a port that is taken is refused, and what was begun is undone" {
	serve w -p 8081:80
	cannot_start 8081 cryopod run -d --name w2 -p 8081:80 $IMAGE httpd -f
	[ "$PROG" = podman ] || reaches http://127.0.0.1:8081/passwd # it takes the other's rules away
	cryopod rm -f -t 0 w
	expect 0 cryopod start w2
}

@test "none, host, container:NAME" {
	expect 0 cryopod run --rm --network none $IMAGE sh -c 'ls /sys/class/net; cat /etc/hosts'
	has lo localhost
	[[ "$output" != *eth0* ]]
	expect 0 cryopod run --rm --network host $IMAGE readlink /proc/self/ns/net
	is "$(readlink /proc/self/ns/net)"
	cryopod run -d --name a $IMAGE sleep 100 >/dev/null
	expect 0 cryopod run --rm --network container:a $IMAGE readlink /proc/self/ns/net
	is "$(cryopod exec a readlink /proc/self/ns/net)"
	expect 0 cryopod inspect --format '{{.HostConfig.NetworkMode}} {{len .NetworkSettings.Networks}}' a
	is "bridge 1"
}

@test "--dns, --dns-search, --add-host" {
	expect 0 cryopod run --rm --dns 1.2.3.4 --dns-search x.y --add-host foo:5.6.7.8 $IMAGE cat /etc/resolv.conf /etc/hosts
	has 'search x.y' 'nameserver 1.2.3.4' $'5.6.7.8\tfoo' 127.0.0.1
}
