/* SPDX-License-Identifier: Apache-2.0 */
/* Names for containers whose owners gave none: adjective_noun. */
#include "engine/container.h"
#include "engine/container_store.h"

#include <errno.h>
#include <sys/random.h>

static const char *const adjectives[] = {
	"able",	    "agile",   "airy",	  "amber",  "ample",	"arctic",  "astute",  "balmy",
	"blithe",   "bold",    "brave",	  "breezy", "bright",	"brisk",   "calm",    "candid",
	"charming", "chilly",  "clever",  "cosy",   "crisp",	"curious", "dapper",  "daring",
	"deft",	    "eager",   "earnest", "elated", "fair",	"fluent",  "fond",    "frosty",
	"gallant",  "gentle",  "gleeful", "glossy", "graceful", "happy",   "hardy",   "hearty",
	"humble",   "icy",     "jolly",	  "jovial", "keen",	"kind",	   "limber",  "lively",
	"lucid",    "lucky",   "mellow",  "merry",  "mighty",	"modest",  "nimble",  "noble",
	"patient",  "placid",  "plucky",  "polar",  "polite",	"prudent", "quick",   "quiet",
	"radiant",  "serene",  "silent",  "sleepy", "snowy",	"sober",   "spry",    "steady",
	"still",    "stoic",   "sturdy",  "subtle", "sunny",	"tender",  "thrifty", "tidy",
	"tranquil", "upbeat",  "valiant", "vivid",  "warm",	"wintry",  "wise",    "witty",
	"zealous",  "zestful",
};

static const char *const nouns[] = {
	"albatross", "alder",	"aspen",  "aurora",   "badger",	 "bear",    "birch",   "bison",
	"brook",     "caribou", "cedar",  "cliff",    "condor",	 "cove",    "crane",   "delta",
	"dolphin",   "dune",	"eagle",  "egret",    "elk",	 "ermine",  "falcon",  "fern",
	"fjord",     "floe",	"fox",	  "gale",     "gannet",	 "geyser",  "glacier", "grouse",
	"gull",	     "harbor",	"hare",	  "hawk",     "heron",	 "iceberg", "igloo",   "island",
	"jay",	     "juniper", "kelp",	  "kestrel",  "lagoon",	 "lake",    "larch",   "lemming",
	"lichen",    "loon",	"lynx",	  "maple",    "marten",	 "meadow",  "moose",   "moss",
	"narwhal",   "orca",	"osprey", "otter",    "owl",	 "ox",	    "pebble",  "penguin",
	"petrel",    "pine",	"plover", "puffin",   "raven",	 "reef",    "ridge",   "river",
	"rowan",     "salmon",	"seal",	  "snowdrop", "sparrow", "spruce",  "summit",  "swan",
	"tern",	     "thicket", "tundra", "valley",   "vole",	 "walrus",  "willow",  "wolf",
	"wren",	     "yak",
};

int container_random_name(struct engine *e, char **ret)
{
	for (unsigned tries = 0; tries < 1000; tries++) {
		g_autofree char *name = NULL;
		uint32_t random[2];

		if (getrandom(random, sizeof(random), 0) != sizeof(random))
			return err_errno("getrandom");
		name = g_strdup_printf("%s_%s", adjectives[random[0] % ARRAY_SIZE(adjectives)],
				       nouns[random[1] % ARRAY_SIZE(nouns)]);
		if (tries > 100) { /* thousands of containers: a number helps */
			char *longer = g_strdup_printf("%s%u", name, random[0] % 100000);

			g_free(name);
			name = longer;
		}
		if (!container_name_used(e, name)) {
			*ret = g_steal_pointer(&name);
			return 0;
		}
	}
	return err_set(EEXIST, "no free name found: use --name");
}
