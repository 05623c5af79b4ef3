/* SPDX-License-Identifier: Apache-2.0 */
/* CRIU's options.  Those without a help text are refused. */
#include "cryo/options.h"

#define FLAG(name_, brief_, field, ...)                                                            \
	{                                                                                          \
		.name = name_, .brief = brief_, .kind = OPT_FLAG,                                  \
		.at = offsetof(struct options, field), __VA_ARGS__                                 \
	}
#define VALUE(kind_, name_, brief_, arg_, field, ...)                                              \
	{                                                                                          \
		.name = name_, .brief = brief_, .kind = kind_, .arg = arg_,                        \
		.at = offsetof(struct options, field), __VA_ARGS__                                 \
	}
const struct option_row option_rows[] = {
	VALUE(OPT_NUMBER, "tree", 't', "PID", tree, .help = "The root of the tree to be dumped"),
	VALUE(OPT_TEXT, "images-dir", 'D', "DIR", images_dir,
	      .help = "Where the images are (default: the current directory)"),
	VALUE(OPT_TEXT, "work-dir", 'W', "DIR", work_dir,
	      .help = "Where logs, statistics and the pidfile go (default: the images directory)"),
	VALUE(OPT_TEXT, "log-file", 'o', "FILE", log_file,
	      .help = "The log, relative to the work directory; - is standard output"),
	VALUE(OPT_LEVEL, "verbosity", 'v', "[LEVEL]", verbosity,
	      .help = "0 nothing, 1 errors, 2 warnings (default), 3 information, 4 everything"),
	VALUE(OPT_TEXT, "pidfile", 0, "FILE", pidfile,
	      .help = "Where the number of the restored root is written"),
	FLAG("restore-detached", 'd', detached,
	     .help = "Return when the tree runs; page-server, service: the same as --daemon"),
	FLAG("restore-sibling", 'S', sibling,
	     .help = "The root becomes a child of our parent; with --restore-detached"),
	FLAG("leave-running", 'R', leave_running, .help = "The tree runs on after the dump"),
	FLAG("leave-stopped", 's', leave_stopped,
	     .help = "The tree is left stopped (SIGSTOP) after a dump or a restore"),
	FLAG("shell-job", 'j', shell_job,
	     .help = "The tree was started by a shell: session, group and terminal are replaced "
		     "by those of whoever restores"),
	FLAG("tcp-established", 0, tcp_established, .help = "Keep established TCP connections"),
	FLAG("tcp-close", 0, tcp_close, .help = "Close established TCP connections"),
	FLAG("skip-in-flight", 0, skip_in_flight,
	     .help = "Leave out TCP connections that are being made"),
	FLAG("file-locks", 'l', file_locks, .help = "Keep file locks"),
	FLAG("link-remap", 0, link_remap,
	     .help = "Of files whose name was removed, but not their last, one is made beside it: "
		     "link_remap.N, until the restore.  (Without it the other name is looked for)"),
	VALUE(OPT_SIZE, "ghost-limit", 0, "SIZE", ghost_limit,
	      .help = "The largest file without a name that is saved (default: 1M)"),
	FLAG("ghost-fiemap", 0, ignored_flag, .help = "Accepted: holes are always left out"),
	VALUE(OPT_TEXT, "ext-unix-sk", 'x', "[INODE]", ext_unix_sk,
	      .help = "Allow unix sockets whose peers are outside (with INODE: this one): of "
		      "datagrams "
		      "they are connected by name again, streams come back with their peer closed"),
	FLAG("evasive-devices", 0, ignored_flag,
	     .help = "Accepted: devices are always found by their numbers"),
	VALUE(OPT_NUMBER, "timeout", 0, "SECONDS", timeout_s,
	      .help = "Give a dump up after this time (default: 0, never); the tree runs on"),
	FLAG("track-mem", 0, track_mem, .help = "Follow changes of memory for the next dump"),
	VALUE(OPT_TEXT, "prev-images-dir", 0, "DIR", prev_images_dir,
	      .help = "Images of the pre-dump before this one, relative to the images directory"),
	FLAG("lazy-pages", 0, lazy_pages,
	     .help = "Restore without memory: cryo lazy-pages gives it when it is wanted; a dump "
		     "keeps "
		     "private memory back and serves it as a page server"),
	FLAG("auto-dedup", 0, auto_dedup,
	     .help = "Free pages of the images before that the new ones have, too; restore: free "
		     "all pages once the tree has them, so that it cannot be restored again"),
	FLAG("page-server", 0, page_server,
	     .help = "Send the pages to a page server instead of writing them"),
	VALUE(OPT_TEXT, "address", 0, "ADDRESS", address,
	      .help = "Where the page server is; where page-server listens (default: everywhere); "
		      "the path of a service's socket"),
	VALUE(OPT_NUMBER, "port", 0, "PORT", port,
	      .help = "The port there; 0 takes any, and says which", .most = 65535),
	VALUE(OPT_NUMBER, "ps-socket", 0, "FD", ps_socket,
	      .help = "The connection to the page server, or of it, is this descriptor"),
	FLAG("tls", 0, tls,
	     .help = "The connection is encrypted; both sides need a certificate that the other "
		     "one's authority has signed"),
	VALUE(OPT_TEXT, "tls-cacert", 0, "FILE", tls_cacert,
	      .help = "The authority's certificate (default: the system's, and "
		      "/etc/pki/CA/cacert.pem)"),
	VALUE(OPT_TEXT, "tls-cacrl", 0, "FILE", tls_cacrl,
	      .help = "What the authority has revoked (default: /etc/pki/CA/cacrl.pem, if it is "
		      "there)"),
	VALUE(OPT_TEXT, "tls-cert", 0, "FILE", tls_cert,
	      .help = "Our certificate (default: /etc/pki/criu/cert.pem)"),
	VALUE(OPT_TEXT, "tls-key", 0, "FILE", tls_key,
	      .help = "Its private key (default: /etc/pki/criu/private/key.pem)"),
	FLAG("tls-no-cn-verify", 0, tls_no_cn_verify,
	     .help = "The name of the server need not be in its certificate"),
	FLAG("stream", 0, stream,
	     .help = "dump, restore: images go to criu-image-streamer, which listens in the images "
		     "directory, and come from there"),
	FLAG("daemon", 0, daemon,
	     .help = "page-server, service: go on as a process of its own once it listens"),
	VALUE(OPT_TEXT, "pre-dump-mode", 0, "MODE", ignored, .choices = " splice read ",
	      .help = "splice or read; the result is the same"),
	VALUE(OPT_TEXT, "manage-cgroups", 0, "[MODE]", manage_cgroups,
	      .choices = " none props soft full strict ignore ",
	      .help = "Save control groups, and put the restored tasks into them.  none: they must "
		      "be there; props: the same, with their settings; soft (without a mode): what "
		      "is missing is made, with its settings; full: all settings; strict: none may "
		      "be "
		      "there yet; ignore: do nothing"),
	VALUE(OPT_LIST, "cgroup-dump-controller", 0, "NAME", cgroup_controllers,
	      .help = "Save only the groups of these controllers, and those of name=... "
		      "hierarchies"),
	VALUE(OPT_LIST, "cgroup-root", 0, "[CONTROLLER:]PATH", cgroup_roots,
	      .help = "With --manage-cgroups: the root of the tree goes to this control group, in "
		      "all "
		      "hierarchies or that of one controller"),
	VALUE(OPT_TEXT, "freeze-cgroup", 0, "DIR", freeze_cgroup,
	      .help = "The control group that holds exactly this tree"),
	VALUE(OPT_TEXT, "network-lock", 0, "METHOD", network_lock,
	      .choices = " nftables iptables skip ",
	      .help = "nftables or iptables (the same here): packets of connections that are kept "
		      "are held back until a restore; skip: they are not"),
	VALUE(OPT_LIST, "inherit-fd", 0, "fd[N]:KEY", inherit_fds,
	      .help = "Descriptor N takes the place of KEY of the images"),
	VALUE(OPT_LIST, "external", 0, "KEY", externals,
	      .help = "KEY stays outside: tty[RDEV:DEV], file[MOUNT:INODE], dev[MAJOR/MINOR], "
		      "pipe:[INODE]; mount points: dump mnt[PATH]:NAME, restore mnt[NAME]:PATH; "
		      "mnt[] takes those that we see ourselves from there"),
	VALUE(OPT_TEXT, "root", 'r', "DIR", root,
	      .help = "The root directory of a tree with mounts of its own"),
	VALUE(OPT_LIST, "ext-mount-map", 'M', "KEY:VALUE", mount_map,
	      .help = "The same as --external mnt[KEY]:VALUE; auto is mnt[]"),
	VALUE(OPT_LIST, "skip-mnt", 0, "DIR", skipped_mounts,
	      .help = "Leave out what is mounted at or below DIR"),
	VALUE(OPT_LIST, "enable-fs", 0, "NAMES", enabled_fs,
	      .help = "Also these file systems can be mounted again by their source: a list, or "
		      "all"),
	FLAG("enable-external-sharing", 0, external_sharing,
	     .help = "Mounts may have peers outside of the tree"),
	FLAG("enable-external-masters", 0, external_masters,
	     .help = "Mounts may have masters outside of the tree"),
	FLAG("mntns-compat-mode", 0, mntns_compat,
	     .help = "Accepted: mounts are made one way, with the same result"),
	VALUE(OPT_LIST, "veth-pair", 0, "IN=OUT", veth_pairs,
	      .help = "The same as --external veth[IN]:OUT"),
	VALUE(OPT_LIST, "join-ns", 'J', "NS:FILE", join_ns,
	      .help = "The restored tree enters this namespace: net, uts, ipc, time or pid, by the "
		      "path "
		      "of "
		      "its file or the number of a process in it"),
	VALUE(OPT_TEXT, "empty-ns", 0, "NS", empty_ns, .choices = " net ",
	      .help = "net: the network namespace is made anew, with nothing in it"),
	FLAG("weak-sysctls", 0, weak_sysctls,
	     .help = "Settings of the network that cannot be made are left with a warning"),
	VALUE(OPT_LIST, "action-script", 0, "FILE", action_scripts,
	      .help = "Run at each stage, whose name is in CRTOOLS_SCRIPT_ACTION; its failure ends "
		      "the action"),
	FLAG("orphan-pts-master", 0, orphan_pts_master,
	     .help = "RPC: a terminal whose master was outside is made anew, and its master sent "
		     "along with that stage"),
	VALUE(OPT_MODES, "cpu-cap", 0, "[CAPS]", cpu_cap,
	      .help = "What of the processor must be the same: all, cpu, fpu, ins, none, no-...; "
		      "a dump with it writes cpuinfo.img, a restore compares"),
	VALUE(OPT_TEXT, "file-validation", 0, "MODE", file_validation,
	      .choices = " filesize buildid ",
	      .help = "filesize or buildid: files must be as long as they were when they were "
		      "dumped.  (Without it they may have changed since)"),
	FLAG("skip-file-rwx-check", 0, other_modes,
	     .help = "Files may have other permissions now than when they were dumped"),
	FLAG("force-irmap", 0, ignored_flag, .help = "Accepted: inodes are found by their handles"),
	VALUE(OPT_LIST, "irmap-scan-path", 0, "DIR", ignored_list, .help = "Accepted"),
	VALUE(OPT_TEXT, "libdir", 'L', "DIR", ignored, .help = "Accepted: there are no plug-ins"),
	VALUE(OPT_TEXT, "config", 0, "FILE", config,
	      .help = "Options, one a line, without dashes; # begins a comment"),
	FLAG("no-default-config", 0, no_default_config,
	     .help = "Do not read /etc/criu/default.conf and ~/.criu/default.conf"),
	FLAG("display-stats", 0, display_stats, .help = "Print the statistics"),
	VALUE(OPT_NUMBER, "status-fd", 0, "FD", status_fd,
	      .help = "Gets one zero byte when the action is done, then is closed"),
	FLAG("dry-run", 0, dry_run,
	     .help = "List everything that would stop the dump; the tree is not touched"),
	FLAG("json", 0, json, .help = "Answers of check and --dry-run as JSON"),
	VALUE(OPT_TEXT, "feature", 0, "NAME", feature,
	      .help = "check: is this kernel feature there?  \"list\" prints all names"),
	FLAG("all", 0, all, .help = "check: all features"),
	FLAG("extra", 0, extra, .help = "check: also what only some trees need"),
	FLAG("experimental", 0, experimental, .help = "check: also what nothing here uses"),
	FLAG("log-pid", 0, ignored_flag, .help = "Accepted: there is one log"),
	FLAG("deprecated", 0, ignored_flag, .help = "Accepted"),
	FLAG("help", 'h', help, .help = "Print this"),
	FLAG("version", 'V', version, .help = "Print the version"),

	FLAG("allow-uprobes", 0, allow_uprobes,
	     .help = "Programs may have breakpoints of uprobes, if the same ones are where they "
		     "are "
		     "restored"),
	FLAG("exec-cmd", 0, exec_cmd,
	     .help = "restore: execute the command after --, as the parent of the tree"),
	FLAG("unprivileged", 0, unprivileged,
	     .help = "Accepted: with CAP_CHECKPOINT_RESTORE only, also within a user namespace, a "
		     "user's own trees are saved and restored; check: what that needs"),
	VALUE(OPT_TEXT, "cgroup-yard", 0, "DIR", cgroup_yard,
	      .help = "Where the hierarchies of control groups are mounted, instead of where they "
		      "are found; relative to the work directory"),
	VALUE(OPT_TEXT, "cgroup-props", 0, "TEXT", cgroup_props,
	      .help = "Which settings of control groups are saved: \"CONTROLLER\": with lines - "
		      "\"strategy\": \"merge\" or \"replace\", and - \"properties\": [\"NAME\", "
		      "...]"),
	VALUE(OPT_TEXT, "cgroup-props-file", 0, "FILE", cgroup_props_file,
	      .help = "The same, from a file"),
	FLAG("cgroup-props-ignore-default", 0, cgroup_props_only,
	     .help = "Save no other settings than those"),
	VALUE(OPT_TEXT, "lsm-profile", 0, "TYPE:NAME", lsm_profile,
	      .help = "restore: apparmor:NAME or selinux:CONTEXT becomes that of the tree"),
	VALUE(OPT_TEXT, "namespaces", 'n', "NS", ignored, .help = "Accepted: they are found"),
	VALUE(OPT_LIST, "close", 0, "FD", closed, .help = "Close this descriptor of ours first"),
	FLAG("ms", 0, ignored_flag, .help = "Accepted"),

	VALUE(OPT_TEXT, "lsm-mount-context", 0, "CONTEXT", ignored,
	      .why_not = "mounts are made with the context that they had"),
};
const size_t option_count = ARRAY_SIZE(option_rows);
