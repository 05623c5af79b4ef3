/* SPDX-License-Identifier: Apache-2.0 */
#include "state/ns/nsids.h"

#include "image/image.h"
#include "image/inventory.h"
#include "state/ns/ns.h"

uint32_t nsids_of(const TaskKobjIdsEntry *e, enum ns_kind kind)
{
	const struct {
		bool has;
		uint32_t id;
	} all[NS_COUNT] = {
		[NS_USER] = {e->has_user_ns_id, e->user_ns_id},
		[NS_MNT] = {e->has_mnt_ns_id, e->mnt_ns_id},
		[NS_UTS] = {e->has_uts_ns_id, e->uts_ns_id},
		[NS_IPC] = {e->has_ipc_ns_id, e->ipc_ns_id},
		[NS_PID] = {e->has_pid_ns_id, e->pid_ns_id},
		[NS_NET] = {e->has_net_ns_id, e->net_ns_id},
		[NS_CGROUP] = {e->has_cgroup_ns_id, e->cgroup_ns_id},
		[NS_TIME] = {e->has_time_ns_id, e->time_ns_id},
	};

	return all[kind].has ? all[kind].id : 0;
}

int nsids_complete(int images, pid_t pid, CoreEntry *core)
{
	int r = core->ids ? 0 : image_load_optional(images, IMG_IDS, (uint64_t)pid, &core->ids);

	return r < 0 ? r : 0;
}

int nsids_load(int images, pid_t root, struct nsids *ret)
{
	CLEANUP(image_record_free) InventoryEntry *inventory = NULL;
	CLEANUP(image_record_free) CoreEntry *core = NULL;
	int r = inventory_load(images, &inventory);

	*ret = (struct nsids){.v = {[NS_USER] = NSID_USER,
				    [NS_MNT] = NSID_MNT,
				    [NS_UTS] = NSID_UTS,
				    [NS_IPC] = NSID_IPC,
				    [NS_PID] = NSID_PID,
				    [NS_NET] = NSID_NET,
				    [NS_CGROUP] = NSID_CGROUP,
				    [NS_TIME] = NSID_TIME}};
	if (r == 0)
		r = image_load_needed(images, IMG_CORE, (uint64_t)root, &core);
	if (r == 0)
		r = nsids_complete(images, root, core);
	for (unsigned k = 0; r == 0 && core->ids && k < NS_COUNT; k++) {
		uint32_t its = nsids_of(core->ids, k);
		uint32_t ours = inventory->root_ids ? nsids_of(inventory->root_ids, k) : 0;

		if (its)
			ret->v[k] = its;
		if (its && ours && its != ours)
			ret->own |= (unsigned)ns_infos[k].flag;
	}
	return r;
}
