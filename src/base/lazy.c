/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lazy.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

static _Noreturn void missing(const char *library)
{
	fprintf(stderr, "Error: %s: install the package that has %s\n", dlerror(), library);
	exit(125);
}

void lazy_load(const char *library, const struct lazy_symbol *v, unsigned n)
{
	void *h = dlopen(library, RTLD_LAZY | RTLD_LOCAL);

	if (!h)
		missing(library);
	for (unsigned i = 0; i < n; i++) {
		void *f = dlsym(h, v[i].name);

		if (!f)
			missing(library);
		*(void **)v[i].at = f;
	}
}
