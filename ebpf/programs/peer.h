/* Puts the address that was asked for in the place of the one meshd or the choice put there. */
#pragma once
#include "address.h"
#include "maps.h"

/* The peer the application is about to see; IPv4 in IPv6 counts as IPv4. */
INLINE struct mesh_address peer6(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = {
		.ip = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] },
		.port = ctx->user_port,
		.family = AF_INET6,
		.protocol = ctx->protocol,
	};
	if (is_mapped(peer.ip)) {
		peer.family = AF_INET;
		peer.ip[0] = peer.ip[3];
		peer.ip[2] = peer.ip[3] = 0;
	}
	return peer;
}

INLINE struct mesh_address peer4(struct bpf_sock_addr *ctx)
{
	struct mesh_address peer = {
		.ip = { ctx->user_ip4 },
		.port = ctx->user_port,
		.family = AF_INET,
		.protocol = ctx->protocol,
	};
	return peer;
}

/* What a socket asked for that is connected to `peer`; 0 = it is not, or asked for just that. */
INLINE struct mesh_address *asked_for(struct bpf_sock_addr *ctx, const struct mesh_address *peer)
{
	__u64 cookie = socket_cookie(ctx);
	struct mesh_connected *connected = map_lookup(&CONNECTED, &cookie);
	return connected && is_same(&connected->actual, peer) ? &connected->wanted : 0;
}

/* Whose datagrams or connection meshd brings from its address `peer`; 0 = `peer` is no such one. */
INLINE struct mesh_address *client_behind(const struct mesh_address *peer)
{
	int disguised = peer->family == AF_INET ? is_disguised4(peer->ip[0]) : is_disguised6(peer->ip);
	return disguised ? map_lookup(&CLIENTS, peer) : 0;
}

INLINE void show4(struct bpf_sock_addr *ctx, const struct mesh_address *wanted)
{
	if (!wanted || wanted->family != AF_INET)
		return;
	ctx->user_ip4 = wanted->ip[0];
	ctx->user_port = wanted->port;
}

INLINE void show6(struct bpf_sock_addr *ctx, const struct mesh_address *wanted)
{
	if (!wanted)
		return;
	int mapped = wanted->family == AF_INET;
	ctx->user_ip6[0] = mapped ? 0 : wanted->ip[0];
	ctx->user_ip6[1] = mapped ? 0 : wanted->ip[1];
	ctx->user_ip6[2] = mapped ? swap32(0x0000ffff) : wanted->ip[2];
	ctx->user_ip6[3] = mapped ? wanted->ip[0] : wanted->ip[3];
	ctx->user_port = wanted->port;
}
