/* Notes what was wanted and by whom under a number that fits into a fake address. */
#pragma once
#include "address.h"
#include "maps.h"

INLINE __u64 random_bits(void)
{
	return (__u64)random_u32() << 32 | random_u32();
}

/* As much of it as a fake address has room for. */
INLINE __u64 fitted(__u64 number, __u8 family)
{
	return family == AF_INET ? number & FAKE4_BITS : number;
}

/* A number nobody can foresee: who connects to a fake address directly finds nothing there. */
INLINE __u64 random_number(__u8 family)
{
	__u64 number = fitted(random_bits(), family);
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

/* Where the first attempts look: more than are under way, and few enough to stay in the cache. */
#define NEAR 256u
#define NEAR_ATTEMPTS 4
#define ATTEMPTS 12
/* So long the numbers near by have the same high bits, and what the kernel keeps of every address it
 * is connected with (RTT, ports) stays in the cache, too. */
#define DRAWN_NS (250 * 1000000ull)
/* The kernel asks for such a connection no longer: nobody is going to accept it. */
#define ABANDONED_NS (130 * 1000000000ll)
/* Where thousands are left, this long is long enough. */
#define LATE_NS (10 * 1000000000ll)
#define TAKEN (~0ull)

/* Writes `wish` there and makes it known; 0 = somebody was faster. */
INLINE int occupy(struct mesh_note *note, __u64 held, __u64 number, const struct mesh_wish *wish)
{
	if (__sync_val_compare_and_swap(&note->number, held, TAKEN) != held)
		return 0;
	note->wish = *wish;
	__sync_lock_test_and_set(&note->number, number);
	return 1;
}

/* High bits for a number near by, the rest is 0. */
INLINE __u64 drawn_bits(__u64 now)
{
	__u32 only = 0;
	struct mesh_drawn *drawn = map_lookup(&DRAWN, &only);
	if (!drawn)
		return 0;
	if (drawn->until < now) {
		drawn->high = random_bits() & ~(__u64)(NOTES - 1);
		drawn->until = now + DRAWN_NS;
	}
	return drawn->high;
}

/* 0 = no place was free. */
INLINE __u64 note_connect(const struct mesh_address *wanted, __u64 workload)
{
	struct mesh_wish wish;
	fill_wish(&wish, wanted, workload);
	__u64 high = fitted(drawn_bits(wish.at), wanted->family);
#pragma clang loop unroll(disable)
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		int near = attempt < NEAR_ATTEMPTS;
		__u64 number = near ? high | random_u32() % NEAR : random_number(wanted->family);
		__u32 at = number % NOTES;
		struct mesh_note *note = map_lookup(&CONNECTS, &at);
		if (!note || !number)
			continue;
		__u64 held = note->number;
		/* Below 0: another processor was later, and faster. */
		__s64 age = wish.at - note->wish.at;
		if (held == TAKEN || (held && age < (near ? ABANDONED_NS : LATE_NS)))
			continue;
		if (occupy(note, held, number, &wish))
			return number;
	}
	return 0;
}

/* 0 = no number was free, which takes tens of thousands of flows. */
INLINE __u64 note_new_flow(const struct mesh_wish *wish)
{
#pragma unroll
	for (int attempt = 0; attempt < 4; attempt++) {
		__u64 number = random_number(wish->wanted.family);
		if (!map_update(&FLOWS, &number, wish, BPF_NOEXIST))
			return number;
	}
	return 0;
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
	__u64 number = note_new_flow(&wish);
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
	__u64 cookie = socket_cookie(ctx);
	struct mesh_connected connected = { .wanted = *wanted, .actual = *actual };
	map_update(&CONNECTED, &cookie, &connected, BPF_ANY);
}
