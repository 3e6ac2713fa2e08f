/* Sends a connect() or sendto() to the fake address of what it wanted. */
#pragma once
#include "wish.h"

#define ALLOW 1
#define DENY 0

enum call { CONNECT, SENDTO };

struct route {
	enum verdict verdict;
	__u64 number;
	struct mesh_config *config;
	/* Source address to show to the application; all 0 = leave it alone. */
	__u32 source[4];
};

INLINE int refuse(void)
{
	count(COUNT_REFUSED);
	set_result(-ECONNREFUSED);
	return DENY;
}

/* Loopback is fast and lossless: pacing (the system's default may be bbr) only slows it. */
INLINE void unpace(struct bpf_sock_addr *ctx)
{
	char reno[] = "reno";
	set_socket_option(ctx, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof(reno));
}

INLINE void choose_source(struct route *route, const struct mesh_address *wanted,
			  const struct mesh_destination *found)
{
	if (route->verdict == TO_PROXY && found) {
		__builtin_memcpy(route->source, found->source, sizeof(route->source));
	} else if (!is_loopback(wanted)) {
		if (wanted->family == AF_INET)
			route->source[0] = route->config->source4;
		else
			__builtin_memcpy(route->source, route->config->source6,
					 sizeof(route->source));
	}
}

/* Where this call goes. Everything but PASS and REFUSE has been noted under `number`. */
INLINE void plan(struct bpf_sock_addr *ctx, enum call call, const struct mesh_address *wanted,
		 struct route *route)
{
	struct mesh_destination *found = 0;
	route->verdict = PASS;
	route->config = config();
	if (!route->config)
		return;
	__u64 scope = current_ancestor_cgroup(route->config->level);
	if (foreign(ctx, route->config, scope))
		return;
	if (call == SENDTO && is_fake(wanted) && is_own_question(wanted, scope))
		return;
	route->verdict = decide(route->config, wanted, &found);
	if (route->verdict == PASS || route->verdict == REFUSE)
		return;
	int datagram = ctx->protocol == IPPROTO_UDP;
	route->number = datagram ? note_question(wanted, scope) : note_connect(wanted, scope);
	if (!route->number) {
		route->verdict = REFUSE;
		return;
	}
	count(route->verdict == TO_PROXY ? COUNT_CONNECTIONS : COUNT_QUESTIONS);
	choose_source(route, wanted, found);
	if (call == CONNECT)
		remember_peer(ctx, wanted);
	if (!datagram)
		unpace(ctx);
}

INLINE __u16 listener(const struct route *route)
{
	const struct mesh_config *config = route->config;
	return swap16(route->verdict == TO_PROXY ? config->tcp_port : config->dns_port);
}

/* Source addresses: the socket's own where it has one, else what a direct connection would show. */
INLINE void keep_source4(struct bpf_sock_addr *ctx, enum call call, __u32 source)
{
	struct bpf_sock *socket = ctx->sk;
	if (!source || !socket || socket->family != AF_INET || socket->src_ip4)
		return;
	if (call == SENDTO) {
		if (!ctx->msg_src_ip4)
			ctx->msg_src_ip4 = source;
		return;
	}
	struct {
		__u16 family, port;
		__u32 ip, zero[2];
	} address = { AF_INET, 0, source, { 0, 0 } };
	bind_source(ctx, &address, sizeof(address));
}

INLINE int redirect4(struct bpf_sock_addr *ctx, enum call call)
{
	struct mesh_address wanted = {
		.ip = { ctx->user_ip4 },
		.port = ctx->user_port,
		.family = AF_INET,
		.protocol = ctx->protocol,
	};
	struct route route = {};
	plan(ctx, call, &wanted, &route);
	if (route.verdict == PASS)
		return ALLOW;
	if (route.verdict == REFUSE)
		return refuse();
	keep_source4(ctx, call, route.source[0]);
	ctx->user_ip4 = swap32(FAKE4_BASE | (__u32)route.number);
	ctx->user_port = listener(&route);
	return ALLOW;
}

INLINE int has_source6(struct bpf_sock *socket)
{
	return socket->src_ip6[0] || socket->src_ip6[1] || socket->src_ip6[2] || socket->src_ip6[3];
}

INLINE void keep_source6(struct bpf_sock_addr *ctx, enum call call, const __u32 *source)
{
	struct bpf_sock *socket = ctx->sk;
	if (!(source[0] || source[1] || source[2] || source[3]) || !socket || has_source6(socket))
		return;
	if (call == SENDTO) {
		if (ctx->msg_src_ip6[0] || ctx->msg_src_ip6[3])
			return;
		ctx->msg_src_ip6[0] = source[0];
		ctx->msg_src_ip6[1] = source[1];
		ctx->msg_src_ip6[2] = source[2];
		ctx->msg_src_ip6[3] = source[3];
		return;
	}
	struct {
		__u16 family, port;
		__u32 flow, ip[4], scope;
	} address = { AF_INET6, 0, 0, { source[0], source[1], source[2], source[3] }, 0 };
	bind_source(ctx, &address, sizeof(address));
}

/* An IPv4 destination asked for by an IPv6 socket stays IPv4 throughout. */
INLINE int redirect_mapped(struct bpf_sock_addr *ctx, enum call call, __u32 ip)
{
	struct mesh_address wanted = {
		.ip = { ip },
		.port = ctx->user_port,
		.family = AF_INET,
		.protocol = ctx->protocol,
	};
	struct route route = {};
	plan(ctx, call, &wanted, &route);
	if (route.verdict == PASS)
		return ALLOW;
	if (route.verdict == REFUSE)
		return refuse();
	if (route.source[0]) {
		__u32 source[4] = { 0, 0, swap32(0x0000ffff), route.source[0] };
		keep_source6(ctx, call, source);
	}
	ctx->user_ip6[3] = swap32(FAKE4_BASE | (__u32)route.number);
	ctx->user_port = listener(&route);
	return ALLOW;
}

INLINE int redirect6(struct bpf_sock_addr *ctx, enum call call)
{
	struct mesh_address wanted = {
		.ip = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] },
		.port = ctx->user_port,
		.family = AF_INET6,
		.protocol = ctx->protocol,
	};
	if (is_mapped(wanted.ip))
		return redirect_mapped(ctx, call, wanted.ip[3]);
	struct route route = {};
	plan(ctx, call, &wanted, &route);
	if (route.verdict == PASS)
		return ALLOW;
	if (route.verdict == REFUSE)
		return refuse();
	keep_source6(ctx, call, route.source);
	ctx->user_ip6[0] = swap32(FAKE6_HIGH);
	ctx->user_ip6[1] = swap32(FAKE6_LOW);
	ctx->user_ip6[2] = swap32((__u32)(route.number >> 32));
	ctx->user_ip6[3] = swap32((__u32)route.number);
	ctx->user_port = listener(&route);
	return ALLOW;
}
