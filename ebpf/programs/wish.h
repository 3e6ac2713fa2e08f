/* Notes what was wanted and by whom under a number that fits into a fake address. */
#pragma once
#include "address.h"
#include "maps.h"

/* A number nobody can foresee: who connects to a fake address directly finds nothing there. */
INLINE __u64 random_number(__u8 family)
{
	__u64 number = random_u32();
	if (family == AF_INET)
		number &= FAKE4_BITS;
	else
		number |= (__u64)random_u32() << 32;
	return number ? number : 1;
}

INLINE void fill_wish(struct mesh_wish *wish, const struct mesh_address *wanted,
		      __u64 workload)
{
	wish->workload = workload;
	wish->at = monotonic_ns();
	wish->pid = current_pid_tgid() >> 32;
	wish->uid = current_uid_gid();
	current_comm(wish->comm, sizeof(wish->comm));
	wish->wanted = *wanted;
	wish->unused = 0;
}

/* 0 = no number was free, which takes tens of thousands of unanswered connects. */
INLINE __u64 note(void *map, const struct mesh_wish *wish)
{
#pragma unroll
	for (int attempt = 0; attempt < 4; attempt++) {
		__u64 number = random_number(wish->wanted.family);
		if (!map_update(map, &number, wish, BPF_NOEXIST))
			return number;
	}
	return 0;
}

INLINE __u64 note_connect(const struct mesh_address *wanted, __u64 workload)
{
	struct mesh_wish wish;
	fill_wish(&wish, wanted, workload);
	return note(&CONNECTS, &wish);
}

/* The caller's number for this destination, the one it has or a new one. */
INLINE __u64 note_flow(const struct mesh_address *wanted, __u64 workload)
{
	struct mesh_asker asker = {
		.workload = workload,
		.pid = current_pid_tgid() >> 32,
		.wanted = *wanted,
	};
	__u64 *known = map_lookup(&ASKERS, &asker);
	if (known && map_lookup(&FLOWS, known))
		return *known;
	struct mesh_wish wish;
	fill_wish(&wish, wanted, workload);
	__u64 number = note(&FLOWS, &wish);
	if (number)
		map_update(&ASKERS, &asker, &number, BPF_ANY);
	return number;
}

INLINE struct mesh_address *wanted_by(__u64 number)
{
	struct mesh_wish *wish = map_lookup(&FLOWS, &number);
	return wish ? &wish->wanted : 0;
}

/* An IPv6 socket connected to an IPv4 address names its (fake) peer with every datagram. */
INLINE int is_own_flow(const struct mesh_address *fake, __u64 workload)
{
	__u64 number = fake->family == AF_INET ? swap32(fake->ip[0]) & FAKE4_BITS : number6(fake->ip);
	struct mesh_wish *wish = map_lookup(&FLOWS, &number);
	return wish && wish->workload == workload;
}

INLINE void remember(struct bpf_sock_addr *ctx, const struct mesh_address *wanted,
		     const struct mesh_address *actual)
{
	struct mesh_connected *connected =
		socket_storage(&CONNECTED, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!connected)
		return;
	connected->wanted = *wanted;
	connected->actual = *actual;
}
