/* SPDX-License-Identifier: Apache-2.0 */
/* Variables and labels from the command line and from files. */
#pragma once

#include "base/err.h"

/*
 * --env-file, then --env: "NAME=VALUE", "NAME" (taken from our environment if it is there) and
 * "PREFIX*".  Appended to *RET in that order.
 */
int env_collect(char *const *files, char *const *vars, char ***ret) MUST_CHECK;

/* All of our own environment (--env-host). */
void env_host(char ***ret);
/* http_proxy and its friends, as far as they are set (--http-proxy). */
void env_proxy(char ***ret);

/* --label-file, then --label. */
int env_labels(char *const *files, char *const *labels, char ***ret) MUST_CHECK;
