/* The maps, and what happens to a destination. */
#pragma once
#include "bpf.h"
#include "shared.h"

#define SSH swap16(22)
#define DNS swap16(53)

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct mesh_config);
	MAP_UINT(max_entries, 1);
} CONFIG SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct mesh_address);
	MAP_TYPE(value, struct mesh_destination);
	MAP_UINT(max_entries, 262144);
} DESTINATIONS SECTION(".maps");

/* By the number in the fake address. meshd takes an entry out when it accepts the connection, so
 * what is in here is under way; the oldest leftovers of failed connects make room. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, struct mesh_wish);
	MAP_UINT(max_entries, 32768);
} CONNECTS SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, struct mesh_asker);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, 16384);
} ASKERS SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, struct mesh_wish);
	MAP_UINT(max_entries, 16384);
} QUESTIONS SECTION(".maps");

/* What a connected socket asked for; goes with the socket. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_SK_STORAGE);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, int);
	MAP_TYPE(value, struct mesh_address);
} PEERS SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, COUNTERS);
} COUNTS SECTION(".maps");

INLINE struct mesh_config *config(void)
{
	__u32 only = 0;
	return map_lookup(&CONFIG, &only);
}

INLINE void count(__u32 what)
{
	__u64 *counter = map_lookup(&COUNTS, &what);
	if (counter)
		*counter += 1;
}

/* meshd's own socket, one tied to a device (it could not reach loopback), one of another network
 * namespace, or a caller outside every run. */
INLINE int foreign(struct bpf_sock_addr *ctx, struct mesh_config *config, __u64 scope)
{
	struct bpf_sock *socket = ctx->sk;
	if (!socket || !scope)
		return 1;
	if ((socket->mark & config->mark_mask) == config->mark_own || socket->bound_dev_if)
		return 1;
	if (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP)
		return 1;
	return netns_cookie(ctx) != config->netns;
}

INLINE int is_fake4(__u32 ip)
{
	return (swap32(ip) & ~FAKE4_BITS) == FAKE4_BASE;
}

INLINE int is_fake6(const __u32 *ip)
{
	return ip[0] == swap32(FAKE6_HIGH) && ip[1] == swap32(FAKE6_LOW);
}

INLINE int is_mapped(const __u32 *ip)
{
	return ip[0] == 0 && ip[1] == 0 && ip[2] == swap32(0x0000ffff);
}

INLINE int is_fake(const struct mesh_address *address)
{
	return address->family == AF_INET ? is_fake4(address->ip[0]) : is_fake6(address->ip);
}

INLINE int is_virtual(const struct mesh_config *config, const struct mesh_address *address)
{
	if (address->family == AF_INET)
		return (address->ip[0] & config->vip4_mask) == config->vip4;
	return address->ip[0] == config->vip6[0] && address->ip[1] == config->vip6[1];
}

INLINE int is_loopback(const struct mesh_address *address)
{
	if (address->family == AF_INET)
		return (address->ip[0] & 0xff) == 127;
	return address->ip[0] == 0 && address->ip[1] == 0 && address->ip[2] == 0 &&
	       address->ip[3] == swap32(1);
}

enum verdict { PASS, TO_PROXY, TO_DNS, REFUSE };

/* First match wins: a declared port of a virtual address, a question, any other port of a virtual
 * address, a known endpoint. Port 22 of a real address is never captured. */
INLINE enum verdict decide(const struct mesh_config *config, const struct mesh_address *wanted,
			   struct mesh_destination **found)
{
	int virtual = is_virtual(config, wanted);
	__u16 port = swap16(wanted->port);
	if (is_fake(wanted))
		return port == config->tcp_port || port == config->dns_port ? REFUSE : PASS;
	*found = map_lookup(&DESTINATIONS, wanted);
	if (virtual && *found)
		return TO_PROXY;
	if (wanted->port == DNS)
		return TO_DNS;
	if (virtual)
		return REFUSE;
	return *found && wanted->port != SSH ? TO_PROXY : PASS;
}
