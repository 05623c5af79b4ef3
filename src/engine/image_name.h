/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References to images: [DOMAIN/]PATH[:TAG][@DIGEST], in the grammar of distribution/reference.
 * A name without a domain is short; what it may mean is decided in registries.h.
 */
#pragma once

#include "base/err.h"

struct image_name {
	char *domain; /* "quay.io", "localhost:5000"; NULL: a short name */
	char *path;   /* "library/busybox" */
	char *tag;    /* or NULL */
	char *digest; /* "sha256:...", or NULL */
};

void image_name_clear(struct image_name *n);

/* -EINVAL with the texts of distribution: "invalid reference format" ... */
int image_name_parse(const char *text, struct image_name *ret) MUST_CHECK;

/* The whole name in DOMAIN (NULL: its own), "latest" being added when there is neither tag nor
 * digest.  Docker's registry gets its "library/".  The caller frees. */
char *image_name_full(const struct image_name *n, const char *domain);
/* The same without tag and digest. */
char *image_name_repository(const struct image_name *n, const char *domain);

/* Splits what is stored, "quay.io/a/b:tag", at its tag; both for the caller to free. */
void image_name_split(const char *full, char **ret_repository, char **ret_tag);
