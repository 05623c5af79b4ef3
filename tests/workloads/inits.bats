# SPDX-License-Identifier: Apache-2.0
# Init programs with children that come and go, as cron does: every orphan is reaped, none twice.

load ../lib/workload
setup_file() { workload_setup; }
teardown() { workload_clear; }
teardown_file() { workload_teardown; }

# Jobs of a second at most, some of which leave a grandchild to the init.
CRON='n=0; trap "echo bye >/tmp/bye; exit 0" TERM
while :; do
	n=$((n + 1))
	(sleep 0.$((n % 5)); echo $n >/tmp/done.new; mv /tmp/done.new /tmp/done) &
	(setsid sleep 0.3 &) 
	[ $((n % 3)) -ne 0 ] || wait
	echo $n >/tmp/n.new; mv /tmp/n.new /tmp/n
	sleep 0.05
done'
INIT=()
start() { ctr --tmpfs /tmp -- "${INIT[@]}" bash -c "$CRON"; }
jobs_done() { inside cat /tmp/n; }
ready() { inside test -s /tmp/done; }
fill() { :; }
mark() { N=$(jobs_done); }
verify() {
	wait_for 20 eval '[ "$(jobs_done)" -gt $((N + 5)) ]'
	# zombies are only what is being reaped just now
	wait_for 20 eval '[ "$(inside ps -eo stat= | grep -c Z)" -eq 0 ]'
}
@test "tini: every cycle" { INIT=(tini --) && every_cycle; }
@test "dumb-init: every cycle" { INIT=(dumb-init) && every_cycle; }

# A signal to the init reaches the child in its own session.
@test "dumb-init and tini pass signals on afterwards" {
	for INIT in dumb-init "tini -g --"; do
		# shellcheck disable=SC2206
		INIT=($INIT)
		begin
		cycle_w
		cryopod kill -s TERM w >/dev/null
		expect 0 timeout 90 "$CP" wait w
		[ "$output" = 0 ]
		cryopod rm -f w >/dev/null
	done
}

@test "bash as init, without any of them" {
	INIT=()
	begin
	for i in 1 2 3; do cycle_w && verify; done
}
