/* Answers of a server: they go back to whoever asked, also when that is a captured address. */
#pragma once
#include "address.h"
#include "maps.h"

/* A conversation that rests for longer is a new one. */
#define CONVERSATION_NS (120 * 1000000000ull)
#define REFRESH_NS 1000000000ull

INLINE void hear(void *ctx, const struct mesh_address *from)
{
	struct mesh_peer peer = { .cookie = socket_cookie(ctx), .address = *from };
	__u64 now = monotonic_ns();
	__u64 *heard = map_lookup(&PEERS, &peer);
	if (!heard)
		map_update(&PEERS, &peer, &now, BPF_ANY);
	else if (now - *heard > REFRESH_NS)
		*heard = now;
}

/* A datagram of `client` came to the socket from meshd's address `peer`. */
INLINE void hear_disguised(void *ctx, const struct mesh_address *client,
			   const struct mesh_address *peer)
{
	struct mesh_peer shown = { .cookie = socket_cookie(ctx), .address = *client };
	struct mesh_address *known = map_lookup(&DISGUISED, &shown);
	if (!known || !is_same(known, peer))
		map_update(&DISGUISED, &shown, peer, BPF_ANY);
}

/* Where an answer to such a client goes; 0 = `to` is none. */
INLINE struct mesh_address *way_back(void *ctx, const struct mesh_address *to)
{
	struct mesh_peer shown = { .cookie = socket_cookie(ctx), .address = *to };
	return map_lookup(&DISGUISED, &shown);
}

INLINE int is_answer(void *ctx, const struct mesh_address *to)
{
	struct mesh_peer peer = { .cookie = socket_cookie(ctx), .address = *to };
	__u64 *heard = map_lookup(&PEERS, &peer);
	return heard && monotonic_ns() - *heard < CONVERSATION_NS;
}
