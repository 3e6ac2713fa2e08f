/* getpeername() and accept(): the address that was asked for, as long as the socket lives, or the
 * client meshd stands for. */
#include "peer.h"

INLINE struct mesh_address *known_as(struct bpf_sock_addr *ctx, const struct mesh_address *peer)
{
	struct mesh_address *client = client_behind(peer);
	return client ? client : asked_for(ctx, peer);
}

SECTION("cgroup/getpeername4") int meshd_p4(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = peer4(ctx);
	show4(ctx, known_as(ctx, &peer));
	return 1;
}

SECTION("cgroup/getpeername6") int meshd_p6(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = peer6(ctx);
	show6(ctx, known_as(ctx, &peer));
	return 1;
}
