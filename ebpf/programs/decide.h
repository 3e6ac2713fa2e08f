/* What happens to a destination. */
#pragma once
#include "address.h"
#include "maps.h"

#define SSH swap16(22)
#define DNS swap16(53)

enum verdict { PASS, TO_PROXY, TO_DNS, TO_ENDPOINT, REFUSE };

INLINE int is_excluded_port(const struct mesh_address *wanted)
{
	__u32 port = swap16(wanted->port);
	__u32 word = (wanted->protocol == IPPROTO_UDP ? 1024 : 0) + port / 64;
	__u64 *bits = map_lookup(&EXCLUDED_PORTS, &word);
	return bits && *bits >> (port % 64) & 1;
}

INLINE int is_excluded_net(const struct mesh_address *wanted)
{
	struct mesh_net net = { .length = 128 };
	if (wanted->family == AF_INET) {
		net.ip[2] = swap32(0x0000ffff);
		net.ip[3] = wanted->ip[0];
	} else {
		__builtin_memcpy(net.ip, wanted->ip, sizeof(net.ip));
	}
	__u32 *excluded = map_lookup(&EXCLUDED_NETS, &net);
	return excluded && *excluded;
}

/* What the user wants left alone; port 22 of a real address always is. */
INLINE int is_excluded(const struct mesh_config *config, const struct mesh_address *wanted)
{
	if (wanted->port == SSH && wanted->protocol == IPPROTO_TCP)
		return 1;
	if (is_excluded_port(wanted))
		return 1;
	if (config->flags & EXCLUDES_NETS && is_excluded_net(wanted))
		return 1;
	if (!(config->flags & EXCLUDES_UIDS))
		return 0;
	__u32 uid = current_uid_gid();
	return map_lookup(&EXCLUDED_UIDS, &uid) != 0;
}

/* First match wins: a declared port of a virtual address, a question (unless only those to virtual
 * addresses are captured), any other port of a virtual
 * address, an exclusion, a known endpoint, what never leaves the neighbourhood, and the rest
 * where the scope's egress is captured. */
INLINE enum verdict decide(const struct mesh_config *config, const struct mesh_scope *scope,
			   const struct mesh_address *wanted, const struct mesh_destination *found)
{
	int virtual = is_virtual(config, wanted);
	if (virtual && found)
		return TO_PROXY;
	if (wanted->port == DNS && (virtual || !(config->flags & LEAVES_DNS)))
		return TO_DNS;
	if (virtual)
		return REFUSE;
	if (!found && (!scope->egress || is_close(wanted)))
		return PASS;
	if (is_excluded(config, wanted)) {
		count(COUNT_EXCLUDED);
		return PASS;
	}
	return TO_PROXY;
}

/* The same without meshd: foreign traffic is none of its business unless told otherwise, and a
 * name goes to an endpoint directly where that is allowed. */
INLINE enum verdict without_meshd(const struct mesh_config *config, enum verdict verdict,
				  const struct mesh_address *wanted)
{
	if (config->flags & FAIL_CLOSED)
		return REFUSE;
	if (verdict == TO_PROXY && is_virtual(config, wanted)) {
		if (config->flags & STRICT)
			return REFUSE;
		verdict = TO_ENDPOINT;
	} else {
		verdict = PASS;
	}
	count(COUNT_BYPASSED);
	return verdict;
}
