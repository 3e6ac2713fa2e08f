/* recvfrom(): a reply appears to come from the address that was asked. */
#include "wish.h"

INLINE struct mesh_address *asked(__u64 number)
{
	struct mesh_wish *question = map_lookup(&QUESTIONS, &number);
	return question ? &question->wanted : 0;
}

SECTION("cgroup/recvmsg4") int meshd_r4(struct bpf_sock_addr *ctx)
{
	if (!is_fake4(ctx->user_ip4))
		return 1;
	struct mesh_address *wanted = asked(swap32(ctx->user_ip4) & FAKE4_BITS);
	if (wanted && wanted->family == AF_INET) {
		ctx->user_ip4 = wanted->ip[0];
		ctx->user_port = wanted->port;
	}
	return 1;
}

SECTION("cgroup/recvmsg6") int meshd_r6(struct bpf_sock_addr *ctx)
{
	__u32 ip[4] = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] };
	if (is_mapped(ip) && is_fake4(ip[3])) {
		struct mesh_address *wanted = asked(swap32(ip[3]) & FAKE4_BITS);
		if (wanted && wanted->family == AF_INET) {
			ctx->user_ip6[3] = wanted->ip[0];
			ctx->user_port = wanted->port;
		}
	} else if (is_fake6(ip)) {
		struct mesh_address *wanted = asked(((__u64)swap32(ip[2]) << 32) | swap32(ip[3]));
		if (wanted && wanted->family == AF_INET6) {
			ctx->user_ip6[0] = wanted->ip[0];
			ctx->user_ip6[1] = wanted->ip[1];
			ctx->user_ip6[2] = wanted->ip[2];
			ctx->user_ip6[3] = wanted->ip[3];
			ctx->user_port = wanted->port;
		}
	}
	return 1;
}
