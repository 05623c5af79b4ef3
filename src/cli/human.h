/* SPDX-License-Identifier: Apache-2.0 */
/* Times and sizes as people, and docker's go-units, write them. */
#pragma once

#include "base/base.h"

/* "Less than a second", "4 seconds", "About a minute", "3 weeks". */
char *human_duration(int64_t ns);
/* "4 seconds ago" from a CLOCK_REALTIME instant until now. */
char *human_ago(int64_t then_ns, int64_t now_ns);

/* "4.83MB", "12B": units of 1000, 3 significant digits. */
char *human_size(double bytes);
/* "4.833MB": 4 significant digits. */
char *human_size4(double bytes);
/* "4.83 MB", as image lists have it. */
char *human_size_blank(double bytes);

/* RFC 3339 text as Go's time.Time prints it: "2026-11-21 07:42:09.180963558 +0000 UTC". */
void human_go_time(const char *rfc3339, GString *to);
/* The instant in ns since 1970; false when TEXT is no RFC 3339 time. */
bool human_parse_rfc3339(const char *text, int64_t *ret_ns);
/* "2026-11-21T07:42:09.180963558Z" or, with LOCAL, with the local offset. */
char *human_rfc3339(int64_t ns, bool local);
/* "2026-11-21 07:42:09.18 +0000 UTC" in UTC; NANOS false leaves the fraction out. */
char *human_go_time_ns(int64_t ns, bool nanos);

/*
 * What --since and --until take: RFC 3339 with or without zone and parts, seconds since 1970 with
 * or without fraction, or a duration ("10m", "1h30m") before NOW.
 */
bool human_parse_when(const char *text, int64_t now_ns, int64_t *ret_ns);
/* Go's duration: "1h15m30.918273645s", "250ms". */
bool human_parse_duration(const char *text, int64_t *ret_ns);
