/* getpeername(): the address that was asked for, as long as the socket lives. */
#include "decide.h"

INLINE struct mesh_address *peer(struct bpf_sock_addr *ctx)
{
	return ctx->sk ? socket_storage(&PEERS, ctx->sk, 0, 0) : 0;
}

SECTION("cgroup/getpeername4") int meshd_p4(struct bpf_sock_addr *ctx)
{
	if (!is_fake4(ctx->user_ip4))
		return 1;
	struct mesh_address *wanted = peer(ctx);
	if (wanted && wanted->family == AF_INET) {
		ctx->user_ip4 = wanted->ip[0];
		ctx->user_port = wanted->port;
	}
	return 1;
}

SECTION("cgroup/getpeername6") int meshd_p6(struct bpf_sock_addr *ctx)
{
	__u32 ip[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	int mapped = is_mapped(ip) && is_fake4(ip[3]);
	if (!mapped && !is_fake6(ip))
		return 1;
	struct mesh_address *wanted = peer(ctx);
	if (!wanted)
		return 1;
	if (mapped) {
		ctx->user_ip6[3] = wanted->ip[0];
	} else {
		ctx->user_ip6[0] = wanted->ip[0];
		ctx->user_ip6[1] = wanted->ip[1];
		ctx->user_ip6[2] = wanted->ip[2];
		ctx->user_ip6[3] = wanted->ip[3];
	}
	ctx->user_port = wanted->port;
	return 1;
}
