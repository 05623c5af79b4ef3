/* SPDX-License-Identifier: Apache-2.0 */
#include "cryo/manual.h"

#include <stdio.h>

static const char head[] =
	"cryo(1)\n\n# NAME\n\ncryo - checkpoint and restore of process trees\n\n"
	"# SYNOPSIS\n\n*cryo* dump|pre-dump -t _PID_ [options]++\n*cryo* restore "
	"[options]++\n"
	"*cryo* page-server|lazy-pages|dedup [options]++\n"
	"*cryo* check [--feature _NAME_] [options]++\n*cryo* cpuinfo dump|check "
	"[options]++\n*cryo* swrk _FD_++\n*cryo* service [--address _PATH_] [--daemon]\n\n"
	"# DESCRIPTION\n\nSaves a tree of processes into a directory of images, and makes "
	"it again from them, with the same process numbers. Options and images are those "
	"of CRIU.\n\n"
	"A dump either succeeds as a whole, or leaves the tree running as if nothing had "
	"happened. Images appear in the directory when they are complete; they are not "
	"synced to disk. Images of an earlier dump in the same directory are replaced.\n\n"
	"# ACTIONS\n\n";

static const char memory[] =
	"# MEMORY IN ROUNDS\n\n"
	"Each *pre-dump* writes the memory that has changed since the one before it while "
	"the tree runs; the *dump* has little left to write:\n\n"
	"\tcryo pre-dump -t _PID_ -D 1++\n"
	"\tcryo pre-dump -t _PID_ -D 2 --prev-images-dir ../1++\n"
	"\tcryo dump -t _PID_ -D 3 --prev-images-dir ../2\n\n"
	"A restore from the last directory needs all of them. *dump --leave-running "
	"--track-mem* makes rounds each of which can be restored. Pages may go to a "
	"*page-server* on another host.\n\n"
	"# MEMORY LATER\n\n"
	"*restore --lazy-pages* lets the tree run before it has its memory; *lazy-pages*, "
	"with the same work directory, gives it page by page when it is wanted, from the "
	"images or, with *--page-server*, from a *dump --lazy-pages*, whose tree stands "
	"still until all has been taken. If *lazy-pages* dies before the end, the "
	"processes that lack memory are killed.\n\n";

static const char tail[] =
	"# STAGES\n\n"
	"Scripts of *--action-script*, and callers of the RPC that want it, are told of: "
	"_pre-dump_, _network-lock_ and _network-unlock_ (of a network namespace of the "
	"tree), _post-dump_ (the images are in place, nothing has ended yet); "
	"_pre-restore_, _setup-namespaces_ (the root task is in its new namespaces, which "
	"are empty), _post-setup-namespaces_, _post-restore_ (all is there and held), "
	"_pre-resume_, _post-resume_; _status-ready_ when a page server, also that of a "
	"*dump --lazy-pages*, listens; callers of the RPC with orphan\\_pts\\_master of "
	"_orphan-pts-master_, with the new master of a terminal; callers of the RPC, before a "
	"dump, of _query-ext-files_, whose answer may name more that is _external_. Scripts find "
	"the stage in "
	"CRTOOLS\\_SCRIPT\\_ACTION, the directory of the images in "
	"CRTOOLS\\_IMAGE\\_DIR and the number of the tree's root in "
	"CRTOOLS\\_INIT\\_PID. A failure at any but the last ends the action, and a tree "
	"that was to be saved runs on.\n\n"
	"# FILES\n\n_dump.log_, _restore.log_, _stats-dump_, _stats-restore_\n"
	"\tIn the work directory, after every call.\n\n"
	"_/etc/criu/default.conf_, _~/.criu/default.conf_, _$CRIU\\_CONFIG\\_FILE_\n"
	"\tOptions that hold unless the command line says otherwise; the first two are not "
	"read when there is *--config* or *--no-default-config*.\n\n"
	"# EXIT STATUS\n\n0 if all was done, 1 if not. A restore that waits for its "
	"tree gives the status of the tree's root, 128 and the signal if one killed "
	"it.\n\n"
	"# SEE ALSO\n\n*cryopod*(1), *crit*(1)\n";

void manual_print(const struct action *const *actions, size_t n)
{
	g_autoptr(GString) text = g_string_new(head);

	for (size_t i = 0; i < n; i++)
		g_string_append_printf(text, "*%s*\n\t%s.\n\n", actions[i]->name,
				       actions[i]->brief);
	g_string_append(text, memory);
	g_string_append(text, "# OPTIONS\n\n");
	options_manual(text);
	g_string_append(text, tail);
	fputs(text->str, stdout);
}
