/* recvfrom(): a reply appears to come from the address that was asked, and who is not us and
 * sends to a socket in scope is remembered: an answer must reach it. */
#include "peer.h"
#include "reply.h"
#include "scope.h"
#include "wish.h"

/* The address `peer` stands for; 0 = it is somebody's own. */
INLINE struct mesh_address *unmask(struct bpf_sock_addr *ctx, const struct mesh_address *peer)
{
	struct mesh_config *settings = config();
	if (!settings || is_own(ctx, settings))
		return 0;
	if (is_fake(settings, peer)) {
		int v4 = peer->family == AF_INET;
		return wanted_by(v4 ? swap32(peer->ip[0]) & FAKE4_BITS : number6(peer->ip));
	}
	struct mesh_address *client = client_behind(peer);
	if (client) {
		hear_disguised(ctx, client, peer);
		return client;
	}
	struct mesh_address *asked = asked_for(ctx, peer);
	if (asked)
		return asked;
	__u64 netns = netns_cookie(ctx);
	if ((netns == settings->netns || map_lookup(&NETNS, &netns)) && scope_of(settings, netns))
		hear(ctx, peer);
	return 0;
}

SECTION("cgroup/recvmsg4") int meshd_r4(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = peer4(ctx);
	show4(ctx, unmask(ctx, &peer));
	return 1;
}

SECTION("cgroup/recvmsg6") int meshd_r6(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = peer6(ctx);
	show6(ctx, unmask(ctx, &peer));
	return 1;
}
