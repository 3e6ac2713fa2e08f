/* What the programs and the loader (src/shared.rs) both read and write.
 *
 * Addresses and ports are in network order; an IPv4 address lies in ip[0]. The sizes are asserted
 * here and there, and no struct has padding, so that map keys compare byte by byte. */
#pragma once
#include <linux/types.h>

/* Captured connections are sent to an address of 127.128.0.0/9 (IPv6: fd6d:6573:6864::/64, routed
 * to loopback) whose low bits are a random number: the key of what was wanted, and by whom. */
#define FAKE4_BASE 0x7f800000u
#define FAKE4_BITS 0x007fffffu
#define FAKE6_HIGH 0xfd6d6573u
#define FAKE6_LOW 0x68640000u

struct mesh_address {
	__u32 ip[4];
	__u16 port;
	__u8 family;
	__u8 protocol;
};

struct mesh_config {
	/* Network namespace whose loopback has our listeners; processes elsewhere are left alone. */
	__u64 netns;
	__u32 mark_own;
	__u32 mark_mask;
	__u32 vip4;
	__u32 vip4_mask;
	/* A /64. */
	__u32 vip6[2];
	/* The host's own addresses, what an application sees as its source; 0 = it has none. */
	__u32 source4;
	__u32 source6[4];
	/* Host order. */
	__u16 tcp_port;
	__u16 dns_port;
	/* Depth of a run scope below the cgroup root. */
	__u32 level;
	__u32 unused;
};

struct mesh_destination {
	/* Source address a direct connection would have; 0 = what the kernel picks on loopback. */
	__u32 source[4];
};

/* One captured connect() or sendto(). */
struct mesh_wish {
	__u64 cgroup;
	/* Monotonic nanoseconds of connect(). */
	__u64 at;
	__u32 pid;
	__u32 uid;
	char comm[16];
	struct mesh_address wanted;
	__u32 unused;
};

/* Datagrams of one process to one resolver share a fake address: a reply may take its time. */
struct mesh_asker {
	__u64 cgroup;
	__u32 pid;
	struct mesh_address wanted;
};

enum mesh_counter {
	COUNT_CONNECTIONS,
	COUNT_QUESTIONS,
	COUNT_REFUSED,
	COUNTERS,
};

_Static_assert(sizeof(struct mesh_address) == 20, "mesh_address");
_Static_assert(sizeof(struct mesh_config) == 64, "mesh_config");
_Static_assert(sizeof(struct mesh_destination) == 16, "mesh_destination");
_Static_assert(sizeof(struct mesh_wish) == 64, "mesh_wish");
_Static_assert(sizeof(struct mesh_asker) == 32, "mesh_asker");
