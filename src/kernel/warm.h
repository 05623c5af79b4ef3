/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/base.h"

#include <stdint.h>

/*
 * A virtual machine gets its memory from its host when it is first touched, and gives it back when
 * it is free for some seconds (virtio_balloon: free page reporting): then each new page costs a
 * fault of the host, 2 to 4 us, ten times as long as the page itself.  One fault brings a huge page
 * as well.  So a process of its own touches BYTES as huge pages and frees them, for whoever needs
 * memory next; it is the first to go where memory is short.
 *
 *	int warming = warm_begin(bytes);	// other things may be done meanwhile
 *	warm_end(&warming);			// waits for it
 *
 * Where there is no hypervisor (CPUID), and for less than 8 MiB, nothing is done.  No more than a
 * quarter of what is available, to the machine and within the limits of our cgroup.  Never fails.
 */
int warm_begin(uint64_t bytes);
void warm_end(int *warming);
