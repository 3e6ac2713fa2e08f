/* One object, because the hooks share their maps. */
#include "connect.c"
#include "getpeername.c"
#include "inbound.c"
#include "recvmsg.c"
#include "release.c"
#include "sendmsg.c"

/* No helper that asks for more is used. */
char LICENSE[] SECTION("license") = "Apache-2.0";
