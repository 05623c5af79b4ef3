/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/timezone.h"

#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define ZONES	 "/usr/share/zoneinfo"
#define ZONE_MAX (1 << 20)
#define MAGIC	 "TZif"

/* The name may come from an archive: it must not lead to other files of this host. */
static bool is_name(const char *zone)
{
	return *zone && *zone != '/' && !strstr(zone, "..");
}

int timezone_read(const char *zone, char **ret, size_t *ret_len)
{
	bool local = strcmp(zone, "local") == 0;
	g_autofree char *path =
		local ? g_strdup("/etc/localtime") : g_build_filename(ZONES, zone, NULL);
	g_autofree char *data = NULL;
	size_t n;
	int r;

	if (!is_name(zone))
		return err_set(EINVAL, "option --tz %s: not the name of a time zone", zone);
	r = file_read_at(AT_FDCWD, path, ZONE_MAX, &data, &n);
	if (r < 0)
		return err_wrap(r, "option --tz %s", zone);
	if (n < strlen(MAGIC) || memcmp(data, MAGIC, strlen(MAGIC)) != 0)
		return err_set(EINVAL, "option --tz %s: %s is no time zone (tzfile(5))", zone,
			       path);
	if (ret) {
		*ret = g_steal_pointer(&data);
		*ret_len = n;
	}
	return 0;
}
