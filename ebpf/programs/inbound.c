/* What arrives for a registered port goes to meshd first; meshd's own connections go on. */
#include "address.h"
#include "maps.h"

/* 127.0.0.6 and fd6d:6573:6864::6: where meshd comes from when it reaches an application. */
INLINE int is_own_source(const struct mesh_address *source)
{
	if (source->family == AF_INET)
		return source->ip[0] == swap32(0x7f000006);
	return is_fake6(source->ip) && number6(source->ip) == 6;
}

INLINE __u32 listener(const struct mesh_address *source)
{
	__u32 first = source->protocol == IPPROTO_UDP ? UDP4 : TCP4;
	return source->family == AF_INET ? first : first + 1;
}

SECTION("sk_lookup") int meshd_in(struct bpf_sk_lookup *ctx)
{
	struct mesh_inbound arrived = { .port = ctx->local_port, .protocol = ctx->protocol };
	if (!map_lookup(&INBOUND, &arrived))
		return SK_PASS;
	struct mesh_address source = {
		.port = ctx->remote_port,
		.family = ctx->family,
		.protocol = ctx->protocol,
	};
	if (source.family == AF_INET) {
		source.ip[0] = ctx->remote_ip4;
	} else {
		source.ip[0] = ctx->remote_ip6[0];
		source.ip[1] = ctx->remote_ip6[1];
		source.ip[2] = ctx->remote_ip6[2];
		source.ip[3] = ctx->remote_ip6[3];
	}
	if (is_own_source(&source) || map_lookup(&PRESERVED, &source))
		return SK_PASS;
	struct mesh_config *settings = config();
	int otherwise = settings && settings->flags & FAIL_CLOSED ? SK_DROP : SK_PASS;
	if (!meshd_lives())
		return otherwise;
	__u32 slot = listener(&source);
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
