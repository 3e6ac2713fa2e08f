/* What arrives for a registered port goes to meshd first; meshd's own connections go on. */
#include "address.h"
#include "maps.h"

/* 127.0.0.6 and fd6d:6573:6864::6: where meshd comes from when it reaches an application. */
INLINE int is_from_meshd(struct bpf_sk_lookup *ctx)
{
	if (ctx->family == AF_INET)
		return ctx->remote_ip4 == swap32(0x7f000006);
	return ctx->remote_ip6[0] == swap32(FAKE6_HIGH) && ctx->remote_ip6[1] == swap32(FAKE6_LOW) &&
	       ctx->remote_ip6[2] == 0 && ctx->remote_ip6[3] == swap32(6);
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
