/* Who is calling. */
#pragma once
#include "maps.h"

/* The socket is meshd's own. */
INLINE int is_own(const struct bpf_sock_addr *ctx, const struct mesh_config *config)
{
	return !ctx->sk || (ctx->sk->mark & config->mark_mask) == config->mark_own;
}

INLINE struct mesh_scope *scope_at(__u32 kind, __u64 id)
{
	struct mesh_scope_key key = { .id = id, .kind = kind };
	return map_lookup(&SCOPES, &key);
}

/* The deepest cgroup that is a scope, else the network namespace `netns`, the user, the host. 0 =
 * none. Users and the host count in meshd's own namespace only. */
INLINE struct mesh_scope *scope_of(const struct mesh_config *config, __u64 netns)
{
	struct mesh_scope *found = 0;
#pragma clang loop unroll(disable)
	for (int at = 0; at < LEVELS; at++) {
		__u8 level = config->levels[at];
		if (!level)
			break;
		__u64 cgroup = current_ancestor_cgroup(level);
		if (!cgroup)
			continue;
		found = scope_at(OF_CGROUP, cgroup);
		if (found)
			break;
	}
	if (!found && config->flags & SCOPES_BY_NETNS)
		found = scope_at(OF_NETNS, netns);
	if (!found && netns == config->netns && config->flags & SCOPES_BY_UID)
		found = scope_at(OF_UID, (__u32)current_uid_gid());
	if (!found && netns == config->netns && config->flags & SCOPE_HOST)
		found = scope_at(OF_HOST, 0);
	return found && !found->excluded ? found : 0;
}
