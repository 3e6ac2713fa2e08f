/* connect(): TCP, and UDP sockets that name their peer once. */
#include "redirect.h"

SECTION("cgroup/connect4") int meshd_c4(struct bpf_sock_addr *ctx)
{
	return redirect4(ctx, CONNECT);
}

SECTION("cgroup/connect6") int meshd_c6(struct bpf_sock_addr *ctx)
{
	return redirect6(ctx, CONNECT);
}
