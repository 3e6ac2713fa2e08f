/* What arrives for a registered port goes to meshd first; meshd's own connections go on. */
#include "address.h"
#include "maps.h"

INLINE int is_from_meshd(struct bpf_sk_lookup *ctx)
{
	if (ctx->family == AF_INET)
		return is_meshd4(ctx->remote_ip4) || is_disguised4(ctx->remote_ip4);
	__u32 ip[4] = { ctx->remote_ip6[0], ctx->remote_ip6[1], ctx->remote_ip6[2],
			ctx->remote_ip6[3] };
	return is_meshd6(ip) || is_disguised6(ip);
}

INLINE __u32 listener(struct bpf_sk_lookup *ctx)
{
	__u32 first = ctx->protocol == IPPROTO_UDP ? UDP4 : TCP4;
	return ctx->family == AF_INET ? first : first + 1;
}

SECTION("sk_lookup") int meshd_in(struct bpf_sk_lookup *ctx)
{
	struct mesh_inbound arrived = { .port = ctx->local_port, .protocol = ctx->protocol };
	if (!map_lookup(&INBOUND, &arrived) || is_from_meshd(ctx))
		return SK_PASS;
	struct mesh_config *settings = config();
	int otherwise = settings && settings->flags & FAIL_CLOSED ? SK_DROP : SK_PASS;
	if (!meshd_lives())
		return otherwise;
	__u32 slot = listener(ctx);
	void *socket = map_lookup(&LISTENERS, &slot);
	if (!socket)
		return otherwise;
	long failed = assign_socket(ctx, socket, 0);
	release_socket(socket);
	if (failed)
		return otherwise;
	count(COUNT_INBOUND);
	return SK_PASS;
}
