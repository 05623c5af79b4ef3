/* SPDX-License-Identifier: Apache-2.0 */
/* The seccomp filter that a tree's root had first: the one the OCI runtime gave it. */
#include "cr/cryo.h"
#include "image/core.pb-c.h"
#include "image/image.h"
#include "image/pstree.pb-c.h"
#include "image/seccomp.pb-c.h"

#include <errno.h>

/* The index of the root's last filter; 1: it has none. */
static int last_filter(int images, uint32_t *ret)
{
	CLEANUP(image_close) struct image *img = NULL;
	CLEANUP(image_record_free) PstreeEntry *root = NULL;
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	int r = image_open_needed(images, IMG_PSTREE, 0, &img);

	if (r == 0)
		r = image_read(img, &root);
	if (r > 0)
		return err_set(EBADMSG, "pstree.img: no process in it");
	if (r == 0)
		r = image_load_needed(images, IMG_CORE, root->pid, &core);
	if (r < 0)
		return r;
	if (!core->thread_core || core->thread_core->seccomp_mode != SECCOMP_MODE__filter ||
	    !core->thread_core->has_seccomp_filter)
		return 1;
	*ret = core->thread_core->seccomp_filter;
	return 0;
}

int cryo_images_first_filter(int images, char **ret, size_t *ret_len)
{
	CLEANUP(image_record_free) SeccompEntry *all = NULL;
	const SeccompFilter *f;
	uint32_t i = 0;
	int r = last_filter(images, &i);

	*ret = NULL;
	*ret_len = 0;
	if (r == 0)
		r = image_load_needed(images, IMG_SECCOMP, 0, &all);
	if (r)
		return r < 0 ? r : 0;
	/* Each filter was added on top of an earlier one, so the chain only goes down. */
	for (;;) {
		if (i >= all->n_seccomp_filters)
			return err_set(EBADMSG, "seccomp.img: there is no filter %u", i);
		f = all->seccomp_filters[i];
		if (!f->has_prev)
			break;
		if (f->prev >= i)
			return err_set(EBADMSG, "seccomp.img: filter %u is above itself", i);
		i = f->prev;
	}
	*ret = g_memdup2(f->filter.data, f->filter.len);
	*ret_len = f->filter.len;
	return 0;
}
