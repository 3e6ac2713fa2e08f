/* getpeername(): the address that was asked for, as long as the socket lives. */
#include "peer.h"

SECTION("cgroup/getpeername4") int meshd_p4(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = peer4(ctx);
	show4(ctx, asked_for(ctx, &peer));
	return 1;
}

SECTION("cgroup/getpeername6") int meshd_p6(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = peer6(ctx);
	show6(ctx, asked_for(ctx, &peer));
	return 1;
}
