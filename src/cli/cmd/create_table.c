/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of create, run and update. */
#include "cli/cmd/create_opts.h"
#include "cli/cmd/stdio.h"

#define SIZE_HELP                                                                                  \
	"(format: <number>[<unit>], where unit = b (bytes), k (kibibytes), m (mebibytes), or g "   \
	"(gibibytes))"
#define SIZE_ARG "<number>[<unit>]"

#define O(field, ...) OPT(struct create_opts, o.field, __VA_ARGS__)
#define A(field, ...) OPT_ARRAY(struct create_opts, o.field, __VA_ARGS__)
#define X(field, ...) OPT(struct create_opts, field, __VA_ARGS__)

/* What update can change, too. */
#define CPU_ROWS                                                                                   \
	O(cpu_period, "cpu-period", 0, "Limit the CPU CFS (Completely Fair Scheduler) period"),    \
		O(cpu_quota, "cpu-quota", 0,                                                       \
		  "Limit the CPU CFS (Completely Fair Scheduler) quota"),                          \
		O(cpu_shares, "cpu-shares", 'c', "CPU shares (relative weight)"),                  \
		O(cpus, "cpus", 0, "Number of CPUs. The default is 0.000 which means no limit"),   \
		O(cpuset_cpus, "cpuset-cpus", 0, "CPUs in which to allow execution (0-3, 0,1)"),   \
		O(cpuset_mems, "cpuset-mems", 0,                                                   \
		  "Memory nodes (MEMs) in which to allow execution (0-3, 0,1). Only effective on " \
		  "NUMA "                                                                          \
		  "systems.")

#define MEMORY_ROWS                                                                                \
	X(memory, "memory", 'm', "Memory limit " SIZE_HELP, .arg = SIZE_ARG),                      \
		X(memory_reservation, "memory-reservation", 0, "Memory soft limit " SIZE_HELP,     \
		  .arg = SIZE_ARG),                                                                \
		X(memory_swap, "memory-swap", 0,                                                   \
		  "Swap limit equal to memory plus swap: '-1' to enable unlimited swap")

#define PIDS_ROW(...)                                                                              \
	O(pids_limit, "pids-limit", 0, "Tune container pids limit (set -1 for unlimited)",         \
	  ##__VA_ARGS__)

#define CREATE_ROWS                                                                                \
	O(add_host, "add-host", 0, "Add a custom host-to-IP mapping (host:ip)"),                   \
		O(annotations, "annotation", 0, "Add annotations to container (key=value)"),       \
		X(arch, "arch", 0,                                                                 \
		  "use ARCH instead of the architecture of the machine for choosing images",       \
		  .arg = "ARCH"),                                                                  \
		X(attach, "attach", 'a', "Attach to STDIN, STDOUT or STDERR"),                     \
		X(authfile, "authfile", 0, "Path of the authentication file"),                     \
		O(cap_add, "cap-add", 0, "Add capabilities to the container"),                     \
		O(cap_drop, "cap-drop", 0, "Drop capabilities from the container"),                \
		O(cgroup_parent, "cgroup-parent", 0, "Optional parent cgroup for the container"),  \
		O(cgroupns, "cgroupns", 0, "cgroup namespace to use"),                             \
		O(cidfile, "cidfile", 0, "Write the container ID to the file"),                    \
		O(conmon_pidfile, "conmon-pidfile", 0,                                             \
		  "Path to the file that will receive the PID of conmon"),                         \
		CPU_ROWS, O(devices, "device", 0, "Add a host device to the container"),           \
		X(ignored_flag, "disable-content-trust", 0,                                        \
		  "This is a Docker specific option and is a NOOP"),                               \
		O(dns, "dns", 0, "Set custom DNS servers"),                                        \
		O(dns_option, "dns-option", 0, "Set custom DNS options", .aliases = "dns-opt"),    \
		O(dns_search, "dns-search", 0, "Set custom DNS search domains"),                   \
		X(entrypoint, "entrypoint", 0, "Overwrite the default ENTRYPOINT of the image"),   \
		OPT_ARRAY(struct create_opts, env, "env", 'e',                                     \
			  "Set environment variables in container"),                               \
		X(env_file, "env-file", 0, "Read in a file of environment variables"),             \
		X(env_host, "env-host", 0,                                                         \
		  "Use all current host environment variables in container"),                      \
		O(expose, "expose", 0, "Expose a port or a range of ports"),                       \
		O(group_add, "group-add", 0,                                                       \
		  "Add additional groups to the primary container process"),                       \
		O(hostname, "hostname", 'h', "Set container hostname"),                            \
		X(http_proxy, "http-proxy", 0,                                                     \
		  "Set proxy environment variables in the container based on the host proxy vars", \
		  .def = "true"),                                                                  \
		X(init, "init", 0, "Not supported: start an init program as the command instead",  \
		  .hidden = true),                                                                 \
		O(interactive, "interactive", 'i', "Keep STDIN open even if not attached"),        \
		O(ip, "ip", 0, "Specify a static IPv4 address for the container"),                 \
		O(ipc, "ipc", 0, "IPC namespace to use"),                                          \
		OPT_ARRAY(struct create_opts, label, "label", 'l', "Set metadata on container"),   \
		X(label_file, "label-file", 0, "Read in a line delimited file of labels"),         \
		O(log_driver, "log-driver", 0, "Logging driver for the container",                 \
		  .def = "k8s-file"),                                                              \
		O(log_opts, "log-opt", 0, "Logging driver options"),                               \
		O(mac_address, "mac-address", 0,                                                   \
		  "Container MAC address (e.g. 92:d0:c6:0a:29:33)"),                               \
		MEMORY_ROWS, A(mounts, "mount", 0, "Attach a filesystem mount to the container"),  \
		O(name, "name", 0, "Assign a name to the container"),                              \
		OPT_ARRAY(struct create_opts, network, "network", 0,                               \
			  "Connect a container to a network", .aliases = "net"),                   \
		O(network_aliases, "network-alias", 0,                                             \
		  "Add network-scoped alias for the container", .aliases = "net-alias"),           \
		O(no_hosts, "no-hosts", 0,                                                         \
		  "Do not create /etc/hosts within the container, instead use the version from "   \
		  "the image"),                                                                    \
		O(oom_kill_disable, "oom-kill-disable", 0, "Disable OOM Killer"),                  \
		O(oom_score_adj, "oom-score-adj", 0,                                               \
		  "Tune the host's OOM preferences (-1000 to 1000)"),                              \
		X(os, "os", 0, "use OS instead of the running OS for choosing images",             \
		  .arg = "OS"),                                                                    \
		O(pid, "pid", 0, "PID namespace to use"),                                          \
		O(pidfile, "pidfile", 0, "Write the container process ID to the file"),            \
		PIDS_ROW(.def = "2048"),                                                           \
		X(platform, "platform", 0,                                                         \
		  "Specify the platform for selecting the image.  (Conflicts with --arch and "     \
		  "--os)"),                                                                        \
		O(privileged, "privileged", 0, "Give extended privileges to container"),           \
		O(publish, "publish", 'p',                                                         \
		  "Publish a container's port, or a range of ports, to the host"),                 \
		O(publish_all, "publish-all", 'P',                                                 \
		  "Publish all exposed ports to random ports on the host interface"),              \
		O(pull, "pull", 0, "Pull image policy", .def = "missing"),                         \
		X(quiet, "quiet", 'q', "Suppress output information when pulling images"),         \
		O(read_only, "read-only", 0, "Make containers root filesystem read-only"),         \
		O(read_only_tmpfs, "read-only-tmpfs", 0,                                           \
		  "When running containers in read-only mode mount a read-write tmpfs on /run, "   \
		  "/tmp and "                                                                      \
		  "/var/tmp",                                                                      \
		  .def = "true"),                                                                  \
		O(replace, "replace", 0, "If a container with the same name exists, replace it"),  \
		O(restart, "restart", 0,                                                           \
		  "Restart policy to apply when a container exits "                                \
		  "(\"always\"|\"no\"|\"on-failure\"|\"unless-stopped\")"),                        \
		O(rm, "rm", 0, "Remove container after exit"),                                     \
		A(security_opt, "security-opt", 0, "Security Options"),                            \
		X(shm_size, "shm-size", 0, "Size of /dev/shm " SIZE_HELP, .arg = SIZE_ARG,         \
		  .def = "65536k"),                                                                \
		O(stop_signal, "stop-signal", 0,                                                   \
		  "Signal to stop a container. Default is SIGTERM"),                               \
		O(stop_timeout, "stop-timeout", 0,                                                 \
		  "Timeout (in seconds) that containers stopped by user command have to exit. If " \
		  "exceeded, the container will be forcibly stopped via SIGKILL.",                 \
		  .def = "10"),                                                                    \
		O(sysctls, "sysctl", 0, "Sysctl options"),                                         \
		O(timeout, "timeout", 0,                                                           \
		  "Maximum time (in seconds) a container is allowed to run before it is killed; "  \
		  "a restore begins it anew",                                                      \
		  .def = "0"),                                                                     \
		X(ignored, "systemd", 0, "Accepted for compatibility: there is no systemd mode",   \
		  .hidden = true),                                                                 \
		X(tls_verify, "tls-verify", 0,                                                     \
		  "Require HTTPS and verify certificates when contacting registries for pulling "  \
		  "images"),                                                                       \
		A(tmpfs, "tmpfs", 0, "Mount a temporary filesystem (tmpfs) into a container",      \
		  .arg = "tmpfs"),                                                                 \
		O(tty, "tty", 't', "Allocate a pseudo-TTY for container"),                         \
		O(timezone, "tz", 0,                                                               \
		  "Time zone of the container: a name like Europe/Vienna, or local for this "      \
		  "host's"),                                                                       \
		O(ulimits, "ulimit", 0, "Ulimit options"),                                         \
		O(umask, "umask", 0, "Set umask in container", .def = "0022"),                     \
		O(user, "user", 'u', "Username or UID (format: <name|uid>[:<group|gid>])"),        \
		O(uts, "uts", 0, "UTS namespace to use"),                                          \
		X(variant, "variant", 0,                                                           \
		  "Use VARIANT instead of the running architecture variant for choosing images",   \
		  .arg = "VARIANT"),                                                               \
		A(volumes, "volume", 'v', "Bind mount a volume into the container"),               \
		O(workdir, "workdir", 'w', "Working directory inside the container")

const struct opt create_options[] = {CREATE_ROWS, {}};

const struct opt run_options[] = {
	CREATE_ROWS,
	X(detach, "detach", 'd', "Run container in background and print container ID"),
	X(detach_keys, "detach-keys", 0, HELP_DETACH_KEYS, .arg = "[a-Z]",
	  .def = "\"ctrl-p,ctrl-q\""),
	X(preserve_fds, "preserve-fds", 0,
	  "Pass N additional file descriptors to the container's first process, from 3 on"),
	X(sig_proxy, "sig-proxy", 0, "Proxy received signals to the process", .def = "true"),
	{}};

const struct opt update_options[] = {CPU_ROWS, MEMORY_ROWS, PIDS_ROW(), {}};

void create_opts_init(void *opts)
{
	struct create_opts *o = opts;

	container_options_init(&o->o);
	o->http_proxy = true;
	o->sig_proxy = true;
}
