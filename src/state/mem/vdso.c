/* SPDX-License-Identifier: Apache-2.0 */
/*
 * [vvar], [vvar_vclock] and [vdso] are mapped by the kernel at execve(2) and can only be moved,
 * each as a whole, keeping their order and distance (the code finds its data relative to itself).
 * Programs keep addresses of functions in it, so its code must be the very same.
 */
#include "state/mem/mem.h"

#include <errno.h>

#define VDSO_MAX (1u << 20)

void vdso_parts_of_maps(const struct maps *m, struct vdso_part ret[VDSO_PARTS])
{
	for (unsigned i = 0; i < VDSO_PARTS; i++)
		ret[i] = (struct vdso_part){0};
	for (size_t i = 0; i < m->n; i++) {
		const struct vma *v = &m->v[i];
		int part = v->special == VMA_VVAR	   ? VDSO_VVAR
			   : v->special == VMA_VVAR_VCLOCK ? VDSO_VCLOCK
			   : v->special == VMA_VDSO	   ? VDSO_CODE
							   : -1;

		if (part >= 0)
			ret[part] = (struct vdso_part){v->start, vma_len(v)};
	}
}

int vdso_hash(pid_t pid, const struct vdso_part *code, char **ret)
{
	g_autofree uint8_t *buf = NULL;
	int r;

	if (code->bytes == 0 || code->bytes > VDSO_MAX)
		return err_set(EOPNOTSUPP, "process %d has no vdso", pid);
	buf = g_malloc(code->bytes);
	r = task_read_memory(pid, code->start, buf, code->bytes);
	if (r < 0)
		return r;
	*ret = g_compute_checksum_for_data(G_CHECKSUM_SHA256, buf, code->bytes);
	return 0;
}
