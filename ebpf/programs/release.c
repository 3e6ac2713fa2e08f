/* close(): what a socket asked for is forgotten. Every socket of the host passes here. */
#include "maps.h"

SECTION("cgroup/sock_release") int meshd_rel(struct bpf_sock *ctx)
{
	__u64 cookie = socket_cookie(ctx);
	/* Looked up first: to delete takes a lock, and most are not in there. */
	if (map_lookup(&CONNECTED, &cookie))
		map_delete(&CONNECTED, &cookie);
	return 1;
}
