/* close(): what a socket asked for is forgotten. Every socket of the host passes here. */
#include "maps.h"

SECTION("cgroup/sock_release") int meshd_rel(struct bpf_sock *ctx)
{
	__u64 cookie = socket_cookie(ctx);
	if (map_lookup(&CONNECTED, &cookie))
		map_delete(&CONNECTED, &cookie);
	return 1;
}
