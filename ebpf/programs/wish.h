/* Notes what was wanted and by whom under a number that fits into a fake address. */
#pragma once
#include "decide.h"

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

INLINE void fill_wish(struct mesh_wish *wish, const struct mesh_address *wanted, __u64 scope)
{
	wish->cgroup = scope;
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

INLINE __u64 note_connect(const struct mesh_address *wanted, __u64 scope)
{
	struct mesh_wish wish;
	fill_wish(&wish, wanted, scope);
	return note(&CONNECTS, &wish);
}

/* The caller's number for this resolver, the one it has or a new one. */
INLINE __u64 note_question(const struct mesh_address *wanted, __u64 scope)
{
	struct mesh_asker asker = { .cgroup = scope, .pid = current_pid_tgid() >> 32, .wanted = *wanted };
	__u64 *known = map_lookup(&ASKERS, &asker);
	if (known && map_lookup(&QUESTIONS, known))
		return *known;
	struct mesh_wish wish;
	fill_wish(&wish, wanted, scope);
	__u64 number = note(&QUESTIONS, &wish);
	if (number)
		map_update(&ASKERS, &asker, &number, BPF_ANY);
	return number;
}

INLINE __u64 number_of(const struct mesh_address *fake)
{
	if (fake->family == AF_INET)
		return swap32(fake->ip[0]) & FAKE4_BITS;
	return ((__u64)swap32(fake->ip[2]) << 32) | swap32(fake->ip[3]);
}

/* An IPv6 socket connected to an IPv4 resolver names its (fake) peer with every datagram. */
INLINE int is_own_question(const struct mesh_address *fake, __u64 scope)
{
	__u64 number = number_of(fake);
	struct mesh_wish *question = map_lookup(&QUESTIONS, &number);
	return question && question->cgroup == scope;
}

INLINE void remember_peer(struct bpf_sock_addr *ctx, const struct mesh_address *wanted)
{
	struct mesh_address *peer = socket_storage(&PEERS, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (peer)
		*peer = *wanted;
}
