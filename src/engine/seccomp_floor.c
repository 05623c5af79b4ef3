/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From linux.seccomp to BPF, with libseccomp, as runc does it (libcontainer/seccomp): rules that
 * say what the default action says are left out, unknown names are skipped, and conditions on one
 * argument are alternatives.  Runtimes use that library themselves, so it is there; it is loaded by
 * those few restores that need it.
 */
#include "engine/seccomp_floor.h"
#include "base/file.h"
#include "base/json.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FLOOR_FILE "seccomp.floor"
#define FLOOR_MAX  (sizeof(struct sock_filter) * BPF_MAXINSNS)
#define LIBRARY	   "libseccomp.so.2"
#define ARGS_MAX   6

/* The library's ABI: seccomp.h of libseccomp 2. */
struct condition {
	unsigned arg;
	int op;
	uint64_t a, b;
};

static struct {
	void *(*init)(uint32_t action);
	void (*release)(void *filter);
	uint32_t (*arch_resolve)(const char *name);
	int (*arch_add)(void *filter, uint32_t arch);
	int (*syscall_resolve)(const char *name);
	int (*rule_add)(void *filter, uint32_t action, int nr, unsigned n,
			const struct condition *v);
	int (*export_bpf)(const void *filter, int fd);
} lib;

static const struct {
	const char *name;
	void *at;
} symbols[] = {
	{"seccomp_init", &lib.init},
	{"seccomp_release", &lib.release},
	{"seccomp_arch_resolve_name", &lib.arch_resolve},
	{"seccomp_arch_add", &lib.arch_add},
	{"seccomp_syscall_resolve_name", &lib.syscall_resolve},
	{"seccomp_rule_add_array", &lib.rule_add},
	{"seccomp_export_bpf", &lib.export_bpf},
};

#define NO_SYSCALL (-1) /* __NR_SCMP_ERROR; other negative numbers are those of other machines */

static const struct {
	const char *name;
	uint32_t action;
	bool number; /* errnoRet is part of it */
} actions[] = {
	{"SCMP_ACT_KILL", SECCOMP_RET_KILL_THREAD, false},
	{"SCMP_ACT_KILL_THREAD", SECCOMP_RET_KILL_THREAD, false},
	{"SCMP_ACT_KILL_PROCESS", SECCOMP_RET_KILL_PROCESS, false},
	{"SCMP_ACT_TRAP", SECCOMP_RET_TRAP, false},
	{"SCMP_ACT_ERRNO", SECCOMP_RET_ERRNO, true},
	{"SCMP_ACT_TRACE", SECCOMP_RET_TRACE, true},
	{"SCMP_ACT_LOG", SECCOMP_RET_LOG, false},
	{"SCMP_ACT_ALLOW", SECCOMP_RET_ALLOW, false},
};

/* In the order of enum scmp_compare, which begins with 1. */
static const char *const operators[] = {"SCMP_CMP_NE",	     "SCMP_CMP_LT", "SCMP_CMP_LE",
					"SCMP_CMP_EQ",	     "SCMP_CMP_GE", "SCMP_CMP_GT",
					"SCMP_CMP_MASKED_EQ"};

static int load(void)
{
	void *h = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	for (unsigned i = 0; h && i < ARRAY_SIZE(symbols); i++) {
		void *f = dlsym(h, symbols[i].name);

		if (!f)
			h = NULL;
		else
			*(void **)symbols[i].at = f;
	}
	return h ? 0
		 : err_set(ENOENT,
			   "the seccomp filter of this host cannot be made: %s: install "
			   "libseccomp2, "
			   "or restore with --trust",
			   dlerror());
}

static int read_action(const char *name, const json_t *number, uint32_t *ret)
{
	for (unsigned i = 0; i < ARRAY_SIZE(actions); i++)
		if (!strcmp(actions[i].name, name)) {
			*ret = actions[i].action;
			if (actions[i].number)
				*ret |= (json_is_integer(number) ? json_integer_value(number)
								 : EPERM) &
					SECCOMP_RET_DATA;
			return 0;
		}
	return err_set(EINVAL, "seccomp action \"%s\" is not supported", name);
}

static int read_condition(const json_t *j, struct condition *ret)
{
	json_int_t arg = json_integer_value(json_object_get(j, "index"));

	*ret = (struct condition){
		.arg = (unsigned)arg,
		.a = (uint64_t)json_integer_value(json_object_get(j, "value")),
		.b = (uint64_t)json_integer_value(json_object_get(j, "valueTwo")),
	};
	for (unsigned i = 0; i < ARRAY_SIZE(operators); i++)
		if (!strcmp(operators[i], json_text_of(j, "op")))
			ret->op = (int)i + 1;
	if (arg < 0 || arg >= ARGS_MAX || !ret->op)
		return err_set(EINVAL, "seccomp condition %s on argument %lld",
			       json_text_of(j, "op"), (long long)arg);
	return 0;
}

static int add(void *filter, const char *name, uint32_t action, const struct condition *v,
	       unsigned n)
{
	int nr = lib.syscall_resolve(name), r;

	if (nr == NO_SYSCALL)
		return 0;
	r = lib.rule_add(filter, action, nr, n, v);
	return r < 0 ? err_set(-r, "seccomp rule for %s", name) : 0;
}

static int add_rule(void *filter, const json_t *rule, uint32_t fallback)
{
	const json_t *names = json_object_get(rule, "names"), *args = json_object_get(rule, "args");
	struct condition v[ARGS_MAX];
	unsigned n = (unsigned)json_array_size(args), seen = 0;
	bool alternatives = false;
	uint32_t action;
	int r = read_action(json_text_of(rule, "action"), json_object_get(rule, "errnoRet"),
			    &action);

	if (r == 0 && n > ARGS_MAX)
		r = err_set(E2BIG, "seccomp rule with %u conditions", n);
	for (unsigned i = 0; r == 0 && i < n; i++) {
		r = read_condition(json_array_get(args, i), &v[i]);
		if (r < 0)
			break;
		alternatives |= seen >> v[i].arg & 1;
		seen |= 1u << v[i].arg;
	}
	if (r < 0 || action == fallback)
		return r;
	for (size_t k = 0; r == 0 && k < json_array_size(names); k++) {
		const char *name = json_string_value(json_array_get(names, k)) ?: "";

		if (!alternatives)
			r = add(filter, name, action, v, n);
		for (unsigned i = 0; alternatives && r == 0 && i < n; i++)
			r = add(filter, name, action, &v[i], 1);
	}
	return r;
}

static int add_architectures(void *filter, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i)) ?: "";
		g_autofree char *low = g_ascii_strdown(
			g_str_has_prefix(name, "SCMP_ARCH_") ? name + strlen("SCMP_ARCH_") : name,
			-1);
		uint32_t arch = lib.arch_resolve(low);
		int r = arch ? lib.arch_add(filter, arch) : -EINVAL;

		if (r < 0 && r != -EEXIST)
			return err_set(-r, "seccomp architecture %s", name);
	}
	return 0;
}

static int export(const void *filter, char **ret, size_t *ret_len)
{
	autoclose int fd = memfd_create("seccomp", MFD_CLOEXEC);
	char path[64];
	int r;

	if (fd < 0)
		return err_errno("memfd_create");
	r = lib.export_bpf(filter, fd);
	if (r < 0)
		return err_set(-r, "compile a seccomp filter");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return file_read_at(AT_FDCWD, path, FLOOR_MAX, ret, ret_len);
}

static int compile(const json_t *j, char **ret, size_t *ret_len)
{
	const json_t *rules = json_object_get(j, "syscalls");
	uint32_t fallback;
	void *filter;
	int r = load();

	if (r == 0)
		r = read_action(json_text_of(j, "defaultAction"),
				json_object_get(j, "defaultErrnoRet"), &fallback);
	if (r < 0)
		return r;
	filter = lib.init(fallback);
	if (!filter)
		return err_set(EINVAL, "a seccomp filter cannot be made");
	r = add_architectures(filter, json_object_get(j, "architectures"));
	for (size_t i = 0; r == 0 && i < json_array_size(rules); i++)
		r = add_rule(filter, json_array_get(rules, i), fallback);
	if (r == 0)
		r = export(filter, ret, ret_len);
	lib.release(filter);
	return r;
}

int seccomp_floor_make(const json_t *spec, int dir)
{
	const json_t *j = json_object_get(json_object_get(spec, "linux"), "seccomp");
	g_autofree char *filter = NULL;
	size_t len = 0;
	int r;

	if (!j)
		return 0;
	r = compile(j, &filter, &len);
	return r < 0 ? r : file_write_at(dir, FLOOR_FILE, filter, len, 0600);
}

int seccomp_floor_read(int dir, char **ret, size_t *ret_len)
{
	int r = file_read_at(dir, FLOOR_FILE, FLOOR_MAX, ret, ret_len);

	if (r == -ENOENT) {
		err_clear();
		*ret = NULL;
		*ret_len = 0;
		return 0;
	}
	if (r == 0 && (!*ret_len || *ret_len % sizeof(struct sock_filter)))
		r = err_set(EBADMSG, FLOOR_FILE " is damaged: its size is %zu", *ret_len);
	return r;
}
