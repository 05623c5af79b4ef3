/* SPDX-License-Identifier: Apache-2.0 */
/* cpuinfo.img: would programs that looked at one processor get on with another? */
#include "cr/cryo.h"

#include "arch/x86_64/cpu.h"
#include "image/cpuinfo.pb-c.h"
#include "image/image.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#define CAPABILITY_VERSION 2

int cryo_cpuinfo_dump(int dir)
{
	CpuinfoEntry all = CPUINFO_ENTRY__INIT;
	CpuinfoX86Entry e = CPUINFO_X86_ENTRY__INIT, *list = &e;
	CLEANUP(image_writer_drop) struct image_writer w;
	struct cpu c;
	int r;

	cpu_read(&c);
	e.vendor_id = c.amd ? CPUINFO_X86_ENTRY__VENDOR__AMD : CPUINFO_X86_ENTRY__VENDOR__INTEL;
	e.cpu_family = c.family;
	e.model = c.model;
	e.stepping = c.stepping;
	e.capability_ver = CAPABILITY_VERSION;
	e.n_capability = CPU_WORDS;
	e.capability = c.words;
	e.model_id = *c.name ? c.name : NULL;
	e.has_xfeatures_mask = e.has_xsave_size = e.has_xsave_size_max = true;
	e.xfeatures_mask = c.xfeatures;
	e.xsave_size = c.xsave_size;
	e.xsave_size_max = c.xsave_size_max;
	all.n_x86_entry = 1;
	all.x86_entry = &list;
	if (unlinkat(dir, "cpuinfo.img", 0) < 0 && errno != ENOENT)
		return err_errno("replace cpuinfo.img");
	image_writer_init(&w, dir);
	r = image_write(&w, IMG_CPUINFO, 0, &all.base);
	return r < 0 ? r : image_writer_finish(&w);
}

static int check_fpu(const CpuinfoX86Entry *e, const struct cpu *c)
{
	uint64_t missing = e->has_xfeatures_mask ? e->xfeatures_mask & ~c->xfeatures : 0;

	if (missing)
		return err_set(ENOTSUP, "the processor lacks extended states %#" PRIx64, missing);
	if (e->has_xsave_size && e->xsave_size != c->xsave_size)
		return err_set(ENOTSUP, "extended state has %u bytes here, but had %u",
			       c->xsave_size, e->xsave_size);
	if (e->has_xsave_size_max && e->xsave_size_max != c->xsave_size_max)
		return err_set(ENOTSUP, "extended state has up to %u bytes here, but had %u",
			       c->xsave_size_max, e->xsave_size_max);
	return 0;
}

static int check_words(const CpuinfoX86Entry *e, const struct cpu *c, bool all)
{
	for (unsigned i = 0; i < e->n_capability; i++) {
		uint32_t had = e->capability[i], mask = all ? ~0u : cpu_instruction_bits(i);

		/* more here than there does no harm to instructions */
		if (all ? had != c->words[i] : had & mask & ~c->words[i])
			return err_set(ENOTSUP,
				       "the processor's capabilities differ: word %u is %#x here, "
				       "but was %#x",
				       i, c->words[i] & mask, had & mask);
	}
	return 0;
}

int cryo_cpuinfo_check(int images, unsigned what)
{
	CLEANUP(image_record_free) CpuinfoEntry *all = NULL;
	const CpuinfoX86Entry *e;
	struct cpu c;
	int r = image_load_needed(images, IMG_CPUINFO, 0, &all);

	if (r < 0)
		return r;
	if (all->n_x86_entry != 1)
		return err_set(EBADMSG, "cpuinfo.img: it is not of an x86 processor");
	e = all->x86_entry[0];
	if (e->n_capability != (e->capability_ver == 1 ? CPU_WORDS_V1 : CPU_WORDS))
		return err_set(EBADMSG, "cpuinfo.img: version %u with %zu words", e->capability_ver,
			       e->n_capability);
	cpu_read(&c);
	if (what & CRYO_CPU_FPU)
		r = check_fpu(e, &c);
	if (r == 0 && what & CRYO_CPU_INS)
		r = check_words(e, &c, false);
	if (r == 0 && what & CRYO_CPU_ALL)
		r = check_words(e, &c, true);
	return r;
}
