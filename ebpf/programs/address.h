/* What kind of address it is. */
#pragma once
#include "shared.h"
#include "bpf.h"

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

INLINE __u64 number6(const __u32 *ip)
{
	return ((__u64)swap32(ip[2]) << 32) | swap32(ip[3]);
}

/* 127.0.0.6 and fd6d:6573:6864::6: where meshd comes from when it reaches an application. */
INLINE int is_meshd4(__u32 ip)
{
	return ip == swap32(0x7f000006);
}

INLINE int is_meshd6(const __u32 *ip)
{
	return is_fake6(ip) && ip[2] == 0 && ip[3] == swap32(6);
}

/* 127.6.0.0/16 and fd6d:6573:6864:0:6::/80: the same in the place of a client (CLIENTS). */
INLINE int is_disguised4(__u32 ip)
{
	return swap32(ip) >> 16 == 0x7f06;
}

INLINE int is_disguised6(const __u32 *ip)
{
	return is_fake6(ip) && swap32(ip[2]) >> 16 == 6;
}

/* A fake address on a port of ours. */
INLINE int is_fake(const struct mesh_config *config, const struct mesh_address *address)
{
	__u16 port = swap16(address->port);
	if (port != config->tcp_port && port != config->udp_port && port != config->dns_port)
		return 0;
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

/* Loopback, link-local (with the metadata service of clouds), multicast and broadcast. */
INLINE int is_close(const struct mesh_address *address)
{
	__u32 first = swap32(address->ip[0]);
	if (is_loopback(address))
		return 1;
	if (address->family == AF_INET)
		return first >> 16 == 0xa9fe || first >> 28 == 0xe || first == 0xffffffff;
	return first >> 22 == 0xfe80 >> 6 || first >> 24 == 0xff;
}

INLINE int is_same(const struct mesh_address *one, const struct mesh_address *other)
{
	return one->ip[0] == other->ip[0] && one->ip[1] == other->ip[1] &&
	       one->ip[2] == other->ip[2] && one->ip[3] == other->ip[3] &&
	       one->port == other->port && one->family == other->family;
}

/* connect() to no address at all means loopback. */
INLINE void name_loopback(struct mesh_address *address)
{
	if (address->ip[0] || address->ip[1] || address->ip[2] || address->ip[3])
		return;
	if (address->family == AF_INET)
		address->ip[0] = swap32(0x7f000001);
	else
		address->ip[3] = swap32(1);
}
