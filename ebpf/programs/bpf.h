/* The little of BPF these programs need: section and map macros, and the helpers by number.
 *
 * Only <linux/bpf.h> is used (no libbpf, no vmlinux.h): every context here is a stable UAPI
 * struct, so one object serves every kernel. */
#pragma once
#include <linux/bpf.h>
#include <linux/types.h>

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define MAP_UINT(name, value) int(*name)[value]
#define MAP_TYPE(name, type) typeof(type) *name
#define HELPER(result, name, number, ...) static result (*name)(__VA_ARGS__) = (void *)(long)(number)

HELPER(void *, map_lookup, BPF_FUNC_map_lookup_elem, void *, const void *);
HELPER(long, map_update, BPF_FUNC_map_update_elem, void *, const void *, const void *, __u64);
HELPER(long, map_delete, BPF_FUNC_map_delete_elem, void *, const void *);
HELPER(__u64, monotonic_ns, BPF_FUNC_ktime_get_ns, void);
HELPER(__u32, random_u32, BPF_FUNC_get_prandom_u32, void);
HELPER(__u64, current_ancestor_cgroup, BPF_FUNC_get_current_ancestor_cgroup_id, int);
HELPER(__u64, current_uid_gid, BPF_FUNC_get_current_uid_gid, void);
HELPER(__u64, current_pid_tgid, BPF_FUNC_get_current_pid_tgid, void);
HELPER(long, current_comm, BPF_FUNC_get_current_comm, void *, __u32);
HELPER(__u64, netns_cookie, BPF_FUNC_get_netns_cookie, void *);
HELPER(__u64, socket_cookie, BPF_FUNC_get_socket_cookie, void *);
HELPER(long, set_socket_option, BPF_FUNC_setsockopt, void *, int, int, void *, int);
HELPER(long, bind_source, BPF_FUNC_bind, void *, void *, int);
HELPER(int, set_result, BPF_FUNC_set_retval, int);
HELPER(long, assign_socket, BPF_FUNC_sk_assign, void *, void *, __u64);
HELPER(long, release_socket, BPF_FUNC_sk_release, void *);

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define TCP_CONGESTION 13
#define ECONNREFUSED 111

#define swap16 __builtin_bswap16
#define swap32 __builtin_bswap32
