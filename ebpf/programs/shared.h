/* What the programs and the loader (src/shared.rs) both read and write.
 *
 * Addresses and ports are in network order unless said otherwise; an IPv4 address lies in ip[0].
 * The sizes are asserted here and there, and no struct has padding, so that map keys compare byte
 * by byte. */
#pragma once
#include <linux/types.h>

/* Captured connections are sent to an address of 127.128.0.0/9 (IPv6: fd6d:6573:6864::/64, routed
 * to loopback) whose low bits are a random number: the key of what was wanted, and by whom. */
#define FAKE4_BASE 0x7f800000u
#define FAKE4_BITS 0x007fffffu
#define FAKE6_HIGH 0xfd6d6573u
#define FAKE6_LOW 0x68640000u

/* Cgroups of at most this many depths can be scopes, addresses of one name chosen from. */
#define LEVELS 16
#define MOST_ENDPOINTS 32

/* Connects that can be under way. The low bits of a number say where it is noted. */
#define NOTES 32768u

struct mesh_address {
	__u32 ip[4];
	__u16 port;
	__u8 family;
	__u8 protocol;
};

/* A network namespace beside meshd's own in which it listens. */
struct mesh_netns {
	/* What an application there sees as its source; 0 = it has none. */
	__u32 source4;
	__u32 source6[4];
};

enum mesh_flag {
	/* Some scope is a user's, the network namespace, the host. */
	SCOPES_BY_UID = 1,
	SCOPES_BY_NETNS = 2,
	SCOPE_HOST = 4,
	EXCLUDES_NETS = 8,
	EXCLUDES_UIDS = 16,
	/* While meshd is gone: refuse what it would have carried. */
	FAIL_CLOSED = 32,
	/* While meshd is gone: refuse virtual addresses, never go to an endpoint in plain text. */
	STRICT = 64,
	/* Questions to name servers are traffic like any other. */
	LEAVES_DNS = 128,
	/* The congestion control connections have of themselves is a slow one on loopback. */
	PACED = 256,
};

struct mesh_config {
	/* Cookie of meshd's network namespace; processes elsewhere are left alone, but for NETNS. */
	__u64 netns;
	__u32 mark_own;
	__u32 mark_mask;
	__u32 vip4;
	__u32 vip4_mask;
	/* A /64. */
	__u32 vip6[2];
	__u32 flags;
	/* The host's own addresses, what an application sees as its source; 0 = it has none. */
	__u32 source4;
	__u32 source6[4];
	/* Host order. */
	__u16 tcp_port;
	__u16 udp_port;
	__u16 dns_port;
	__u16 unused;
	/* Depths below the cgroup root at which there are scopes, deepest first; 0 ends the list. */
	__u8 levels[LEVELS];
};

enum mesh_scope_kind { OF_CGROUP, OF_NETNS, OF_UID, OF_HOST };

struct mesh_scope_key {
	__u64 id;
	__u32 kind;
	__u32 unused;
};

struct mesh_scope {
	__u64 workload;
	/* Everything else is captured too, not only what the mesh knows. */
	__u32 egress;
	/* The members are left alone. */
	__u32 excluded;
};

/* When one of the endpoints of a virtual address is chosen here and no proxy is asked. */
enum mesh_straight { NEVER, AT_CONNECT, ALWAYS };

struct mesh_destination {
	/* Source address a direct connection would have; 0 = what the kernel picks on loopback. */
	__u32 source[4];
	/* enum mesh_straight */
	__u32 straight;
};

struct mesh_endpoint {
	__u32 ip[4];
	__u16 port;
	__u16 family;
};

/* Ready endpoints of a virtual address, each as often as its weight deserves. */
struct mesh_endpoints {
	__u32 count;
	struct mesh_endpoint at[MOST_ENDPOINTS];
};

/* One captured connect() or sendto(). What was wanted comes first: its pointer is the pointer that
 * was checked, which the verifier wants to see. */
struct mesh_wish {
	struct mesh_address wanted;
	__u32 uid;
	__u64 workload;
	/* Monotonic nanoseconds of connect(). */
	__u64 at;
	char comm[16];
	__u32 pid;
	__u32 unused;
};

/* A wish under way. meshd reads and frees it in memory both share: no call into the kernel. */
struct mesh_note {
	/* What the fake address says; 0 = free, all ones = somebody writes here. */
	__u64 number;
	struct mesh_wish wish;
};

/* Datagrams of one process to one destination share a fake address: a reply may take its time. */
struct mesh_asker {
	__u64 workload;
	__u32 pid;
	struct mesh_address wanted;
};

/* Who sent a datagram to a socket in scope, so that an answer goes back as it came. */
struct mesh_peer {
	__u64 cookie;
	struct mesh_address address;
	__u32 unused;
};

/* What a connected socket asked for, and where it really is connected to. */
struct mesh_connected {
	struct mesh_address wanted;
	struct mesh_address actual;
};

struct mesh_net {
	__u32 length;
	/* IPv4 as ::ffff:a.b.c.d. */
	__u32 ip[4];
};

struct mesh_inbound {
	/* Host order. */
	__u16 port;
	__u8 protocol;
	__u8 unused;
};

/* Slots of LISTENERS. */
enum mesh_listener { TCP4, TCP6, UDP4, UDP6, LISTENER_SLOTS };

enum mesh_counter {
	COUNT_CONNECTIONS,
	COUNT_DATAGRAMS,
	COUNT_QUESTIONS,
	COUNT_REFUSED,
	COUNT_BALANCED,
	COUNT_EXCLUDED,
	/* Left alone, or sent to an endpoint, because meshd was gone. */
	COUNT_BYPASSED,
	COUNT_INBOUND,
	COUNTERS,
};

_Static_assert(sizeof(struct mesh_address) == 20, "mesh_address");
_Static_assert(sizeof(struct mesh_config) == 80, "mesh_config");
_Static_assert(sizeof(struct mesh_netns) == 20, "mesh_netns");
_Static_assert(sizeof(struct mesh_scope_key) == 16, "mesh_scope_key");
_Static_assert(sizeof(struct mesh_scope) == 16, "mesh_scope");
_Static_assert(sizeof(struct mesh_destination) == 20, "mesh_destination");
_Static_assert(sizeof(struct mesh_endpoint) == 20, "mesh_endpoint");
_Static_assert(sizeof(struct mesh_endpoints) == 644, "mesh_endpoints");
_Static_assert(sizeof(struct mesh_wish) == 64, "mesh_wish");
_Static_assert(sizeof(struct mesh_note) == 72, "mesh_note");
_Static_assert(sizeof(struct mesh_asker) == 32, "mesh_asker");
_Static_assert(sizeof(struct mesh_peer) == 32, "mesh_peer");
_Static_assert(sizeof(struct mesh_connected) == 40, "mesh_connected");
_Static_assert(sizeof(struct mesh_net) == 20, "mesh_net");
_Static_assert(sizeof(struct mesh_inbound) == 4, "mesh_inbound");
