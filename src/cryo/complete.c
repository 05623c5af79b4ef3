/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/complete.h"

#include <stdio.h>
#include <string.h>

static void offer(const char *typed, const char *before, const char *word)
{
	g_autofree char *whole = g_strconcat(before, word, NULL);

	if (*word && g_str_has_prefix(whole, typed))
		puts(whole);
}

/* The row of "--name" or "-b"; NULL: that is no option. */
static const struct option_row *find_row(const char *word)
{
	for (size_t i = 0; i < option_count; i++) {
		const struct option_row *row = &option_rows[i];

		if (g_str_has_prefix(word, "--")
			    ? strcmp(word + 2, row->name) == 0
			    : word[0] == '-' && word[1] && !word[2] && word[1] == row->brief)
			return row;
	}
	return NULL;
}

static bool wants_value(const struct option_row *row)
{
	return row && row->arg && row->arg[0] != '[';
}

static void offer_values(const char *typed, const struct option_row *row)
{
	g_auto(GStrv) choices = g_strsplit(row->choices ? row->choices : "", " ", -1);

	for (char **c = choices; *c; c++)
		offer(typed, "", *c);
}

/* The word that is no option and no value of one; NULL: there is none yet. */
static const char *action_of(int nwords, char **words)
{
	for (int i = 0; i < nwords; i++)
		if (words[i][0] != '-' && (i == 0 || !wants_value(find_row(words[i - 1]))))
			return words[i];
	return NULL;
}

void complete_print(const struct action *const *actions, size_t n, int nwords, char **words)
{
	const char *typed = nwords ? words[nwords - 1] : "";
	const struct option_row *row = nwords > 1 ? find_row(words[nwords - 2]) : NULL;
	const char *action = action_of(nwords - 1, words);

	if (wants_value(row)) {
		offer_values(typed, row);
	} else if (*typed == '-') {
		for (size_t i = 0; i < option_count; i++)
			if (option_rows[i].help)
				offer(typed, "--", option_rows[i].name);
	} else if (!action) {
		for (size_t i = 0; i < n; i++)
			offer(typed, "", actions[i]->name);
	} else if (strcmp(action, "cpuinfo") == 0) {
		offer(typed, "", "dump");
		offer(typed, "", "check");
	}
}
