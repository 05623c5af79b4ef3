/* SPDX-License-Identifier: Apache-2.0 */
/* The page of checkpoint inspect --html: what its parts share.  Everything put is escaped. */
#pragma once

#include <glib.h>
#include <jansson.h>

#define HTML_PAGE_BYTES 4096.0

const char *html_text(const json_t *j, const char *key); /* "": there is none */
json_int_t html_int(const json_t *j, const char *key);
void html_put(GString *to, const char *text);
void html_put_size(GString *to, double bytes);

/* ck_html_memory.c: pictures.  LIST: the processes. */
void html_put_kinds(GString *to, const json_t *list);
/* One process: its mappings by address, each as wide as its size has digits (base 2). */
void html_put_map(GString *to, const json_t *p);
