/* Sends a connect() or sendto() to the fake address of what it wanted, or to an endpoint. */
#pragma once
#include "decide.h"
#include "reply.h"
#include "scope.h"
#include "wish.h"

#define ALLOW 1
#define DENY 0

enum call { CONNECT, SENDTO };

struct route {
	enum verdict verdict;
	/* Where to go instead. */
	struct mesh_address to;
	/* Source address to show to the application; all 0 = leave it alone. */
	__u32 source[4];
};

INLINE int refuse(struct bpf_sock_addr *ctx, enum call call)
{
	/* connect() of a datagram socket sends nothing: resolvers do it to sort addresses. */
	if (call == SENDTO || ctx->protocol == IPPROTO_TCP)
		count(COUNT_REFUSED);
	set_result(-ECONNREFUSED);
	return DENY;
}

/* Loopback is fast and lossless: pacing (the system's default may be bbr) only slows it. What the
 * default is elsewhere is not known. */
INLINE void unpace(struct bpf_sock_addr *ctx, const struct mesh_config *config, int elsewhere)
{
	char reno[] = "reno";
	if (!elsewhere && !(config->flags & PACED))
		return;
	set_socket_option(ctx, IPPROTO_TCP, TCP_CONGESTION, reno, sizeof(reno));
}

INLINE void choose_source(struct route *route, const struct mesh_address *wanted,
			  const struct mesh_config *config, const struct mesh_netns *elsewhere,
			  const struct mesh_destination *found)
{
	if (elsewhere && is_loopback(wanted))
		return;
	if (elsewhere && wanted->family == AF_INET)
		route->source[0] = elsewhere->source4;
	else if (elsewhere)
		__builtin_memcpy(route->source, elsewhere->source6, sizeof(route->source));
	else if (route->verdict == TO_PROXY && found)
		__builtin_memcpy(route->source, found->source, sizeof(route->source));
	else if (is_loopback(wanted))
		return;
	else if (wanted->family == AF_INET)
		route->source[0] = config->source4;
	else
		__builtin_memcpy(route->source, config->source6, sizeof(route->source));
}

/* Any ready endpoint of a virtual address, the same for all a socket sends; REFUSE where there is
 * none. `lot` is drawn by the caller. */
INLINE void choose_endpoint(struct route *route, const struct mesh_address *wanted, __u32 lot)
{
	struct mesh_endpoints *ready = map_lookup(&ENDPOINTS, wanted);
	route->verdict = REFUSE;
	if (!ready || !ready->count)
		return;
	__u32 chosen = lot % ready->count;
	if (chosen >= MOST_ENDPOINTS)
		return;
	const struct mesh_endpoint *endpoint = &ready->at[chosen];
	__builtin_memcpy(route->to.ip, endpoint->ip, sizeof(route->to.ip));
	route->to.port = endpoint->port;
	route->to.family = endpoint->family;
	route->verdict = TO_ENDPOINT;
}

INLINE void choose_fake(struct route *route, const struct mesh_config *config,
			const struct mesh_address *wanted, __u64 number)
{
	__u16 port = config->dns_port;
	if (route->verdict == TO_PROXY)
		port = wanted->protocol == IPPROTO_UDP ? config->udp_port : config->tcp_port;
	route->to.port = swap16(port);
	route->to.family = wanted->family;
	if (wanted->family == AF_INET) {
		route->to.ip[0] = swap32(FAKE4_BASE | (__u32)number);
	} else {
		route->to.ip[0] = swap32(FAKE6_HIGH);
		route->to.ip[1] = swap32(FAKE6_LOW);
		route->to.ip[2] = swap32((__u32)(number >> 32));
		route->to.ip[3] = swap32((__u32)number);
	}
}

/* What is decided before the destination is looked up; TO_PROXY = nothing yet. */
INLINE enum verdict screen(struct bpf_sock_addr *ctx, enum call call,
			   const struct mesh_config *config, const struct mesh_scope *scope,
			   const struct mesh_address *wanted)
{
	int fake = is_fake(config, wanted), ours = fake || is_virtual(config, wanted);
	/* Outside every scope, or tied to a device: loopback cannot be reached. */
	if (!scope || ctx->sk->bound_dev_if > 1)
		return ours ? REFUSE : PASS;
	if (fake)
		return call == SENDTO && is_own_flow(wanted, scope->workload) ? PASS : REFUSE;
	if (call == SENDTO && is_answer(ctx, wanted))
		return PASS;
	return TO_PROXY;
}

/* Chooses an endpoint where no proxy is to be asked; 0 = one is. Loopback of another network
 * namespace is not where meshd's endpoints are. */
INLINE int go_straight(struct route *route, const struct mesh_address *wanted,
		       const struct mesh_destination *found, enum call call, __u32 lot, int elsewhere)
{
	if (!found || found->straight == NEVER)
		return 0;
	if (call == SENDTO && found->straight != ALWAYS)
		return 0;
	choose_endpoint(route, wanted, lot);
	if (route->verdict != TO_ENDPOINT)
		return 1;
	if (elsewhere && is_loopback(&route->to)) {
		route->verdict = TO_PROXY;
		return 0;
	}
	count(COUNT_BALANCED);
	return 1;
}

/* Where this call goes. What goes to meshd has been noted. */
INLINE void plan(struct bpf_sock_addr *ctx, enum call call, struct mesh_address *wanted,
		 struct route *route)
{
	struct mesh_config *settings = config();
	route->verdict = PASS;
	if (!settings || is_own(ctx, settings))
		return;
	if (wanted->protocol != IPPROTO_TCP && wanted->protocol != IPPROTO_UDP)
		return;
	__u64 netns = netns_cookie(ctx);
	struct mesh_netns *elsewhere = 0;
	if (netns != settings->netns) {
		elsewhere = map_lookup(&NETNS, &netns);
		if (!elsewhere)
			return;
	}
	struct mesh_address *disguised = call == SENDTO ? way_back(ctx, wanted) : 0;
	if (disguised) {
		route->verdict = TO_ENDPOINT;
		route->to = *disguised;
		return;
	}
	name_loopback(wanted);
	struct mesh_scope *scope = scope_of(settings, netns);
	route->verdict = screen(ctx, call, settings, scope, wanted);
	if (route->verdict != TO_PROXY || !scope)
		return;
	/* The loopback of another namespace is its own: nobody there is an endpoint of ours. */
	struct mesh_destination *found = 0;
	if (!elsewhere || !is_loopback(wanted))
		found = map_lookup(&DESTINATIONS, wanted);
	route->verdict = decide(settings, scope, wanted, found);
	if (route->verdict == PASS || route->verdict == REFUSE)
		return;
	__u32 lot = call == CONNECT ? random_u32() : (__u32)socket_cookie(ctx);
	int straight = go_straight(route, wanted, found, call, lot, elsewhere != 0);
	if (!straight && !meshd_lives()) {
		route->verdict = without_meshd(settings, route->verdict, wanted);
		if (route->verdict == TO_ENDPOINT)
			choose_endpoint(route, wanted, lot);
		if (route->verdict == TO_ENDPOINT && elsewhere && is_loopback(&route->to))
			route->verdict = REFUSE;
	} else if (!straight) {
		int datagram = wanted->protocol == IPPROTO_UDP;
		__u64 number = datagram ? note_flow(wanted, scope->workload)
					 : note_connect(wanted, scope->workload);
		choose_source(route, wanted, settings, elsewhere, found);
		choose_fake(route, settings, wanted, number);
		if (!number)
			route->verdict = REFUSE;
		else if (route->verdict == TO_DNS)
			count(COUNT_QUESTIONS);
		else
			count(datagram ? COUNT_DATAGRAMS : COUNT_CONNECTIONS);
		if (!datagram)
			unpace(ctx, settings, elsewhere != 0);
	}
	if (route->verdict == TO_ENDPOINT ||
	    (call == CONNECT && route->verdict != PASS && route->verdict != REFUSE))
		remember(ctx, wanted, &route->to);
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
		return refuse(ctx, call);
	keep_source4(ctx, call, route.source[0]);
	ctx->user_ip4 = route.to.ip[0];
	ctx->user_port = route.to.port;
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

INLINE int redirect6(struct bpf_sock_addr *ctx, enum call call)
{
	struct mesh_address wanted = {
		.ip = { ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3] },
		.port = ctx->user_port,
		.family = AF_INET6,
		.protocol = ctx->protocol,
	};
	/* An IPv4 destination asked for by an IPv6 socket is IPv4 throughout. */
	if (is_mapped(wanted.ip)) {
		wanted.family = AF_INET;
		wanted.ip[0] = wanted.ip[3];
		wanted.ip[2] = wanted.ip[3] = 0;
	}
	struct route route = {};
	plan(ctx, call, &wanted, &route);
	if (route.verdict == PASS)
		return ALLOW;
	if (route.verdict == REFUSE)
		return refuse(ctx, call);
	if (route.to.family == AF_INET) {
		__u32 source[4] = { 0, 0, swap32(0x0000ffff), route.source[0] };
		if (route.source[0])
			keep_source6(ctx, call, source);
		ctx->user_ip6[0] = ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = swap32(0x0000ffff);
		ctx->user_ip6[3] = route.to.ip[0];
	} else {
		keep_source6(ctx, call, route.source);
		ctx->user_ip6[0] = route.to.ip[0];
		ctx->user_ip6[1] = route.to.ip[1];
		ctx->user_ip6[2] = route.to.ip[2];
		ctx->user_ip6[3] = route.to.ip[3];
	}
	ctx->user_port = route.to.port;
	return ALLOW;
}
