/* SPDX-License-Identifier: Apache-2.0 */
/* Values with a syntax. */
#include "engine/mounts.h"
#include "engine/options.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/stat.h>

int options_parse_size(const char *text, const char *what, int64_t *ret)
{
	static const char units[] = "bkmgtp";
	char *end = NULL;
	double v = g_ascii_strtod(text, &end);
	const char *unit = *end ? strchr(units, g_ascii_tolower(*end)) : units;

	if (unit && *end) {
		end++;
		if (*unit != 'b' && g_ascii_tolower(*end) == 'i')
			end++;
		if (*unit != 'b' && g_ascii_tolower(*end) == 'b')
			end++;
	}
	if (!g_ascii_isdigit(*text) || !unit || *end)
		return err_set(EINVAL, "invalid value \"%s\" for %s: invalid size: '%s'", text,
			       what, text);
	v = ldexp(v, 10 * (int)(unit - units));
	if (v >= 0x1p63)
		return err_set(ERANGE, "invalid value \"%s\" for %s: too large", text, what);
	*ret = (int64_t)v;
	return 0;
}

static const char *const signals[] = {
	[SIGHUP] = "HUP",   [SIGINT] = "INT",	    [SIGQUIT] = "QUIT", [SIGILL] = "ILL",
	[SIGTRAP] = "TRAP", [SIGABRT] = "ABRT",	    [SIGBUS] = "BUS",	[SIGFPE] = "FPE",
	[SIGKILL] = "KILL", [SIGUSR1] = "USR1",	    [SIGSEGV] = "SEGV", [SIGUSR2] = "USR2",
	[SIGPIPE] = "PIPE", [SIGALRM] = "ALRM",	    [SIGTERM] = "TERM", [SIGSTKFLT] = "STKFLT",
	[SIGCHLD] = "CHLD", [SIGCONT] = "CONT",	    [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP",
	[SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU",	    [SIGURG] = "URG",	[SIGXCPU] = "XCPU",
	[SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM", [SIGPROF] = "PROF", [SIGWINCH] = "WINCH",
	[SIGIO] = "IO",	    [SIGPWR] = "PWR",	    [SIGSYS] = "SYS",
};

/* As kill -l counts them: the C library keeps 32 and 33 to itself, the kernel's range begins there.
 */
#define SIGNAL_RTMIN 34
#define SIGNAL_RTMAX 64

static int realtime_signal(const char *name)
{
	int base = g_str_has_prefix(name, "RTMIN")   ? SIGNAL_RTMIN
		   : g_str_has_prefix(name, "RTMAX") ? SIGNAL_RTMAX
						     : 0;
	char *end;
	long off;

	if (!base || !name[5])
		return base;
	off = strtol(name + 5, &end, 10);
	if (*end || labs(off) > 30)
		return 0;
	base += off;
	return base >= SIGNAL_RTMIN && base <= SIGNAL_RTMAX ? base : 0;
}

int options_parse_signal(const char *text, int *ret)
{
	g_autofree char *upper = g_ascii_strup(text, -1);
	const char *name = g_str_has_prefix(upper, "SIG") ? upper + 3 : upper;
	char *end;
	long v;

	if (g_ascii_isdigit(*text)) {
		v = strtol(text, &end, 10);
		if (*end)
			return err_set(EINVAL, "invalid signal: %s", text);
		if (v < 1 || v > SIGNAL_RTMAX)
			return err_set(EINVAL, "valid signals are 1 through 64");
		*ret = v;
		return 0;
	}
	for (unsigned i = 1; i < ARRAY_SIZE(signals); i++)
		if (signals[i] && !strcmp(signals[i], name)) {
			*ret = i;
			return 0;
		}
	*ret = realtime_signal(name);
	return *ret ? 0 : err_set(EINVAL, "invalid signal: %s", text);
}

static const char *const capabilities[] = {
	"CAP_CHOWN",
	"CAP_DAC_OVERRIDE",
	"CAP_DAC_READ_SEARCH",
	"CAP_FOWNER",
	"CAP_FSETID",
	"CAP_KILL",
	"CAP_SETGID",
	"CAP_SETUID",
	"CAP_SETPCAP",
	"CAP_LINUX_IMMUTABLE",
	"CAP_NET_BIND_SERVICE",
	"CAP_NET_BROADCAST",
	"CAP_NET_ADMIN",
	"CAP_NET_RAW",
	"CAP_IPC_LOCK",
	"CAP_IPC_OWNER",
	"CAP_SYS_MODULE",
	"CAP_SYS_RAWIO",
	"CAP_SYS_CHROOT",
	"CAP_SYS_PTRACE",
	"CAP_SYS_PACCT",
	"CAP_SYS_ADMIN",
	"CAP_SYS_BOOT",
	"CAP_SYS_NICE",
	"CAP_SYS_RESOURCE",
	"CAP_SYS_TIME",
	"CAP_SYS_TTY_CONFIG",
	"CAP_MKNOD",
	"CAP_LEASE",
	"CAP_AUDIT_WRITE",
	"CAP_AUDIT_CONTROL",
	"CAP_SETFCAP",
	"CAP_MAC_OVERRIDE",
	"CAP_MAC_ADMIN",
	"CAP_SYSLOG",
	"CAP_WAKE_ALARM",
	"CAP_BLOCK_SUSPEND",
	"CAP_AUDIT_READ",
	"CAP_PERFMON",
	"CAP_BPF",
	"CAP_CHECKPOINT_RESTORE",
};

const char *options_capability_name(unsigned number)
{
	return number < ARRAY_SIZE(capabilities) ? capabilities[number] : NULL;
}

int options_capability_number(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (!strcmp(capabilities[i], name))
			return i;
	return -1;
}

const char *options_capability(const char *text)
{
	if (!g_ascii_strncasecmp(text, "CAP_", 4))
		text += 4;
	for (unsigned i = 0; i < ARRAY_SIZE(capabilities); i++)
		if (!g_ascii_strcasecmp(capabilities[i] + 4, text))
			return capabilities[i];
	return NULL;
}

int options_unknown_capability(const char *text)
{
	bool has_prefix = !g_ascii_strncasecmp(text, "CAP_", 4);
	g_autofree char *upper = g_ascii_strup(text, -1);

	return err_set(EINVAL, "\"%s%s\": unknown capability", has_prefix ? "" : "CAP_", upper);
}

static const char *const limits[] = {
	"AS",	"CORE",	  "CPU",   "DATA", "FSIZE",  "LOCKS",  "MEMLOCK",    "MSGQUEUE",
	"NICE", "NOFILE", "NPROC", "RSS",  "RTPRIO", "RTTIME", "SIGPENDING", "STACK",
};
static const char *const limit_types[] = {
	"RLIMIT_AS",	 "RLIMIT_CORE",	  "RLIMIT_CPU",	       "RLIMIT_DATA",
	"RLIMIT_FSIZE",	 "RLIMIT_LOCKS",  "RLIMIT_MEMLOCK",    "RLIMIT_MSGQUEUE",
	"RLIMIT_NICE",	 "RLIMIT_NOFILE", "RLIMIT_NPROC",      "RLIMIT_RSS",
	"RLIMIT_RTPRIO", "RLIMIT_RTTIME", "RLIMIT_SIGPENDING", "RLIMIT_STACK",
};
G_STATIC_ASSERT(ARRAY_SIZE(limits) == ARRAY_SIZE(limit_types));

static bool parse_limit(const char *text, uint64_t *ret)
{
	char *end;

	if (!strcmp(text, "-1") || !strcmp(text, "unlimited")) {
		*ret = RLIM_INFINITY;
		return true;
	}
	errno = 0;
	*ret = strtoull(text, &end, 10);
	return g_ascii_isdigit(*text) && !*end && !errno;
}

int options_parse_ulimit(const char *text, struct ulimit *ret)
{
	g_auto(GStrv) pair = g_strsplit(text, "=", 2);
	g_auto(GStrv) values = pair[0] && pair[1] ? g_strsplit(pair[1], ":", 2) : NULL;

	*ret = (struct ulimit){};
	if (!values || !values[0] || !parse_limit(values[0], &ret->soft) ||
	    !parse_limit(values[1] ? values[1] : values[0], &ret->hard))
		return err_set(EINVAL, "invalid ulimit argument: %s", text);
	for (unsigned i = 0; i < ARRAY_SIZE(limits); i++)
		if (!g_ascii_strcasecmp(limits[i], pair[0]))
			ret->type = limit_types[i];
	if (!ret->type)
		return err_set(EINVAL, "ulimit option \"%s\": invalid ulimit type: %s", text,
			       pair[0]);
	if (ret->soft > ret->hard)
		return err_set(EINVAL,
			       "ulimit option \"%s\": ulimit soft limit must be less than or equal "
			       "to hard limit",
			       text);
	return 0;
}

static bool is_access(const char *text)
{
	return *text && strspn(text, "rwm") == strlen(text) && strlen(text) <= 3;
}

int options_parse_device(const char *text, struct device_option *ret)
{
	g_auto(GStrv) parts = g_strsplit(text, ":", 3);
	unsigned n = g_strv_length(parts);
	const char *target = n > 1 && parts[1][0] == '/' ? parts[1] : NULL;
	const char *access = n == 3 ? parts[2] : n == 2 && !target ? parts[1] : "rwm";

	if (!n || parts[0][0] != '/' || (n == 3 && !target) || !is_access(access))
		return err_set(EINVAL, "invalid device specification: %s", text);
	*ret = (struct device_option){.source = g_strdup(parts[0]),
				      .destination = g_strdup(target ? target : parts[0])};
	g_strlcpy(ret->access, access, sizeof(ret->access));
	return 0;
}

void device_option_clear(struct device_option *d)
{
	g_free(d->source);
	g_free(d->destination);
}

int options_parse_labels(char *const *texts, json_t *to)
{
	for (; texts && *texts; texts++) {
		size_t n = strcspn(*texts, "=");
		g_autofree char *key = g_strndup(*texts, n);

		if (json_object_set_new(to, key, json_string((*texts)[n] ? *texts + n + 1 : "")))
			return err_set(EINVAL, "label %s is not UTF-8", *texts);
	}
	return 0;
}
