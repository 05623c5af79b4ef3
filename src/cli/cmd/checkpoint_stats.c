/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cmd/checkpoint_stats.h"

#include "cli/command.h"
#include "cli/report.h"

json_t *checkpoint_stats_entry(const char *id, const char *duration_name, uint64_t duration_us,
			       const struct checkpoint_stat *rows)
{
	json_t *cryo = json_object();

	for (; rows->name; rows++)
		if (rows->value)
			json_object_set_new(cryo, rows->name, json_integer(rows->value));
	return json_pack("{s:s, s:I, s:o}", "Id", id, duration_name, (json_int_t)duration_us,
			 "criu_statistics", cryo);
}

void checkpoint_stats_print(const char *verb, int64_t start_us, json_t *entries)
{
	g_autofree char *ours = g_strdup_printf(CLI_NAME "_%s_duration", verb);
	g_autofree char *podmans = g_strdup_printf("podman_%s_duration", verb);
	json_int_t took = g_get_monotonic_time() - start_us;
	json_t *list = json_array_size(entries) ? json_incref(entries) : json_null();
	/* The second name is what programs look for that read Podman's output. */
	json_t *j = json_pack("{s:I, s:I, s:o}", ours, took, podmans, took, "container_statistics",
			      list);

	report_json(j, 4);
	json_decref(j);
}

int checkpoint_each(struct cli *cli, const GArray *picks, const char *verb, bool print_stats,
		    int64_t start_us, checkpoint_one one)
{
	json_t *all = json_array();
	int status = 0;

	for (guint i = 0; i < picks->len; i++) {
		const struct pick *p = &g_array_index(picks, struct pick, i);
		json_t *stats = NULL;

		if (one(cli, p->c, &stats) < 0) {
			cli_print_error();
			status = 125;
			continue;
		}
		if (print_stats)
			json_array_append(all, stats);
		else
			puts(p->shown);
		json_decref(stats);
		fflush(stdout);
	}
	if (print_stats)
		checkpoint_stats_print(verb, start_us, all);
	json_decref(all);
	return status;
}
