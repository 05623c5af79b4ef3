/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C (Castagnoli), as iSCSI and ext4 have it: tells damaged data, not forged data. */
#pragma once

#include "base/base.h"

/* Of what SUM is of, followed by LEN bytes of DATA; 0 to begin with. */
uint32_t crc32c(uint32_t sum, const void *data, size_t len);
