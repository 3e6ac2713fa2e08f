/* sendto() and sendmsg() on UDP sockets that name the peer with every datagram. */
#include "redirect.h"

SECTION("cgroup/sendmsg4") int meshd_s4(struct bpf_sock_addr *ctx)
{
	return redirect4(ctx, SENDTO);
}

SECTION("cgroup/sendmsg6") int meshd_s6(struct bpf_sock_addr *ctx)
{
	return redirect6(ctx, SENDTO);
}
