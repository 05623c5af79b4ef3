/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of the database, by room; store.c lists them.  CREATE ... IF NOT EXISTS only. */
#pragma once

#include "engine/store.h"

extern const char container_schema_sql[]; /* container_store.c */
extern const char exec_schema_sql[];	  /* exec_store.c */
extern const char event_schema_sql[];	  /* events.c */
extern const char image_schema_sql[];	  /* image_store.c */
extern const char network_schema_sql[];	  /* network_lease.c */
extern const char volume_schema_sql[];	  /* volume.c */
