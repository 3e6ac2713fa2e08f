/* The maps, and what is asked of them everywhere. */
#pragma once
#include "bpf.h"
#include "shared.h"

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct mesh_config);
	MAP_UINT(max_entries, 1);
} CONFIG SECTION(".maps");

/* Until when meshd is known to live, in monotonic nanoseconds. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, 1);
} LEASE SECTION(".maps");

/* Other network namespaces with our listeners, by cookie. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, struct mesh_netns);
	MAP_UINT(max_entries, 4096);
} NETNS SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct mesh_scope_key);
	MAP_TYPE(value, struct mesh_scope);
	MAP_UINT(max_entries, 65536);
} SCOPES SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct mesh_address);
	MAP_TYPE(value, struct mesh_destination);
	MAP_UINT(max_entries, 262144);
} DESTINATIONS SECTION(".maps");

/* By virtual address and port. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct mesh_address);
	MAP_TYPE(value, struct mesh_endpoints);
	MAP_UINT(max_entries, 131072);
} ENDPOINTS SECTION(".maps");

/* One bit per port: TCP's 65536, then UDP's. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, 2048);
} EXCLUDED_PORTS SECTION(".maps");

/* The longest prefix decides: 1 = left alone, 0 = not. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LPM_TRIE);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct mesh_net);
	MAP_TYPE(value, __u32);
	MAP_UINT(max_entries, 4096);
} EXCLUDED_NETS SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
	MAP_UINT(max_entries, 1024);
} EXCLUDED_UIDS SECTION(".maps");

/* At the low bits of the number in the fake address. meshd frees an entry when it accepts the
 * connection, so what is in here is under way, or was left by a connect that failed. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_UINT(map_flags, BPF_F_MMAPABLE);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct mesh_note);
	MAP_UINT(max_entries, NOTES);
} CONNECTS SECTION(".maps");

/* The high bits of numbers, and until when in monotonic nanoseconds. */
struct mesh_drawn {
	__u64 high;
	__u64 until;
};

struct {
	MAP_UINT(type, BPF_MAP_TYPE_ARRAY);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct mesh_drawn);
	MAP_UINT(max_entries, 1);
} DRAWN SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, struct mesh_asker);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, 32768);
} ASKERS SECTION(".maps");

/* By the number in the fake address, of datagrams. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, struct mesh_wish);
	MAP_UINT(max_entries, 32768);
} FLOWS SECTION(".maps");

/* When it was last heard of, in monotonic nanoseconds. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, struct mesh_peer);
	MAP_TYPE(value, __u64);
	MAP_UINT(max_entries, 32768);
} PEERS SECTION(".maps");

/* Whom an application sees in the place of an address of meshd's. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, struct mesh_address);
	MAP_TYPE(value, struct mesh_address);
	MAP_UINT(max_entries, 65536);
} CLIENTS SECTION(".maps");

/* Where answers of a socket to such a client really go. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_LRU_HASH);
	MAP_TYPE(key, struct mesh_peer);
	MAP_TYPE(value, struct mesh_address);
	MAP_UINT(max_entries, 32768);
} DISGUISED SECTION(".maps");

/* By the socket's cookie, until it is closed (release.c): storage of the socket's own would cost
 * several times as much. */
struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_UINT(map_flags, BPF_F_NO_PREALLOC);
	MAP_TYPE(key, __u64);
	MAP_TYPE(value, struct mesh_connected);
	MAP_UINT(max_entries, 262144);
} CONNECTED SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_HASH);
	MAP_TYPE(key, struct mesh_inbound);
	MAP_TYPE(value, __u32);
	MAP_UINT(max_entries, 4096);
} INBOUND SECTION(".maps");

struct {
	MAP_UINT(type, BPF_MAP_TYPE_SOCKMAP);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
	MAP_UINT(max_entries, LISTENER_SLOTS);
} LISTENERS SECTION(".maps");

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

/* meshd renews the lease all the time: an expired one means it is dead or hangs. */
INLINE int meshd_lives(void)
{
	__u32 only = 0;
	__u64 *until = map_lookup(&LEASE, &only);
	return until && monotonic_ns() < *until;
}
