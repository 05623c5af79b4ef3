/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/maps.h"
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A process may have vm.max_map_count mappings: 65530 by default, much more when raised. */
#define MAPS_MAX_BYTES ((size_t)1 << 30)

#define X(name) #name,
static const char flag_names[][3] = {VM_FLAGS(X)};
#undef X

static const struct {
	const char *name;
	enum vma_special special;
} specials[] = {
	{"[heap]", VMA_HEAP},
	{"[stack]", VMA_STACK},
	{"[vdso]", VMA_VDSO},
	{"[vvar]", VMA_VVAR},
	{"[vvar_vclock]", VMA_VVAR_VCLOCK},
	{"[vsyscall]", VMA_VSYSCALL},
	{"[uprobes]", VMA_UPROBES},
};

void proc_unescape(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

static enum vma_special classify(const struct vma *v)
{
	/* A file's path starts with '/', so that brackets are the kernel's own. */
	if (v->name[0] != '[')
		return VMA_ORDINARY;
	for (size_t i = 0; i < ARRAY_SIZE(specials); i++)
		if (!strcmp(v->name, specials[i].name))
			return specials[i].special;
	if (!strncmp(v->name, "[anon:", 6) || !strncmp(v->name, "[anon_shmem:", 12))
		return VMA_ANON_NAMED;
	return VMA_OTHER;
}

/* "7f..-7f.. r-xp 0001b000 fe:00 1234    /path": strtoull() and no sscanf(), which is 5 times
 * slower. */
static int parse_head(char *l, struct vma *v)
{
	char *at;
	size_t len;

	v->start = strtoull(l, &at, 16);
	if (*at != '-')
		return -EBADMSG;
	v->end = strtoull(at + 1, &at, 16);
	if (at[0] != ' ' || strnlen(at, 6) < 6)
		return -EBADMSG;
	v->prot = (at[1] == 'r' ? PROT_READ : 0) | (at[2] == 'w' ? PROT_WRITE : 0) |
		  (at[3] == 'x' ? PROT_EXEC : 0);
	v->shared = at[4] == 's';
	v->offset = strtoull(at + 5, &at, 16);
	v->major = (uint32_t)strtoul(at, &at, 16);
	if (*at != ':')
		return -EBADMSG;
	v->minor = (uint32_t)strtoul(at + 1, &at, 16);
	v->ino = strtoull(at, &at, 10);
	at += strspn(at, " ");
	len = strlen(at);
	if (len > 10 && *at == '/' && !strcmp(at + len - 10, " (deleted)")) {
		v->deleted = true;
		at[len - 10] = 0;
	}
	if (strchr(at, '\\'))
		proc_unescape(at); /* only newlines are escaped: seq_file_path(m, file, "\n") */
	v->name = at;
	v->special = classify(v);
	return v->end > v->start ? 0 : -EBADMSG;
}

static uint64_t parse_flags(const char *s)
{
	uint64_t flags = 0;

	for (;; s += 2) {
		s += strspn(s, " ");
		if (!s[0] || s[0] == '\n' || !s[1])
			return flags;
		for (unsigned i = 0; i < VMF_COUNT; i++)
			if (g_ascii_toupper(s[0]) == flag_names[i][0] &&
			    g_ascii_toupper(s[1]) == flag_names[i][1])
				flags |= UINT64_C(1) << i;
	}
}

/*
 * L: the end of a mapping's first line.  Some 24 lines of smaps follow, "VmFlags:" last; only two
 * are of use.  The first line of the next mapping, or NULL.
 */
static char *parse_details(char *l, struct vma *v)
{
	static const char size[] = "\nKernelPageSize:", flags[] = "\nVmFlags:";
	char *last = strstr(l, flags), *at = last ? strstr(l, size) : NULL;

	if (!last)
		return NULL;
	if (at && at < last)
		v->page_bytes = (uint32_t)strtoul(at + strlen(size), NULL, 10) * 1024;
	v->vmflags = parse_flags(last + strlen(flags));
	at = strchrnul(last + 1, '\n');
	return *at ? at + 1 : at;
}

/*
 * Of a process that runs the table is read in pieces, each from the end of the last one on, and
 * what has become one mapping with that meanwhile is told with its beginning (fs/proc/task_mmu.c:
 * m_start(), find_vma()): what was told already is left out.
 */
static bool goes_on(const GArray *all, struct vma *v)
{
	uint64_t told = all->len ? g_array_index(all, struct vma, all->len - 1).end : 0;

	if (v->end <= told)
		return false;
	if (v->start < told) {
		v->offset += v->name[0] == '/' ? told - v->start : 0;
		v->start = told;
	}
	return true;
}

/* DETAILS: the text is that of smaps. */
static int read_table(int dir, const char *file, bool details, struct maps *ret)
{
	g_autoptr(GArray) all = g_array_new(FALSE, FALSE, sizeof(struct vma));
	g_autofree char *text = NULL;
	int r = file_read_at(dir, file, MAPS_MAX_BYTES, &text, NULL);

	if (r < 0)
		return r;
	for (char *l = text; *l;) {
		struct vma v = {0};
		char *end = strchrnul(l, '\n'), *next = *end ? end + 1 : end;

		if (details)
			next = parse_details(end, &v);
		*end = 0;
		if (!next || parse_head(l, &v) < 0)
			return err_set(EBADMSG, "%s: cannot read line %s", file, l);
		if (goes_on(all, &v))
			g_array_append_val(all, v);
		l = next;
	}
	ret->text = g_steal_pointer(&text);
	ret->n = all->len;
	ret->v = (struct vma *)(void *)g_array_free(g_steal_pointer(&all), FALSE);
	return 0;
}

int maps_read(int dir, struct maps *ret)
{
	return read_table(dir, "maps", false, ret);
}

int maps_read_vmflags(int dir, struct maps *ret)
{
	return read_table(dir, "smaps", true, ret);
}

void maps_clear(struct maps *m)
{
	g_free(m->v);
	g_free(m->text);
	*m = (struct maps){0};
}

const struct vma *maps_find(const struct maps *m, uint64_t addr)
{
	size_t low = 0, high = m->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr >= m->v[mid].end)
			low = mid + 1;
		else if (addr < m->v[mid].start)
			high = mid;
		else
			return &m->v[mid];
	}
	return NULL;
}

int vma_open(int dir, const struct vma *v, int flags, int *ret_fd)
{
	char name[64];
	int fd;

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)v->start,
		 (unsigned long long)v->end);
	fd = openat(dir, name, flags | O_CLOEXEC);
	if (fd < 0)
		return err_errno("open mapping %s (%s)", name, v->name);
	*ret_fd = fd;
	return 0;
}
