// What wrk and iperf3 cannot do: connections that carry one byte, and datagrams. bench/run.py builds and starts it.
//
//   load answer PORT [MAP]                    TCP: every byte received is sent back
//   load connect IP PORT SECS                 connect, a byte there and back, close; one after another
//   load echo PORT                            UDP: every datagram is sent back
//   load loop IP PORT FLOWS WINDOW SIZE SECS  WINDOW datagrams in flight on each of FLOWS sockets
//   load pace IP PORT FLOWS RATE SIZE SECS    RATE datagrams per second over FLOWS sockets, whatever comes back
//
// The servers run until SIGTERM; the clients print one line of JSON.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 64, LARGEST = 2048, BUFFER = 4 << 20 };
static const double SILENCE = 0.1; // seconds without an answer after which what is under way is lost

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static double cpu(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

static struct sockaddr_in address(const char *ip, const char *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(atoi(port)) };
	inet_pton(AF_INET, ip, &a.sin_addr);
	return a;
}

static void need(int holds, const char *what)
{
	if (!holds) {
		perror(what);
		exit(1);
	}
}

// meshd's notes of connects under way, in memory it shares with its eBPF programs: each begins with its number, 0 when
// it is free, and lies where the low bits of the connection's address say.
static struct {
	char *at;
	unsigned count, size;
} notes;

static void open_notes(unsigned id)
{
	union bpf_attr by_id = { .map_id = id };
	struct bpf_map_info info = { 0 };
	int fd = syscall(SYS_bpf, BPF_MAP_GET_FD_BY_ID, &by_id, sizeof by_id);
	union bpf_attr about = { .info = { .bpf_fd = fd, .info_len = sizeof info, .info = (unsigned long)&info } };
	need(fd >= 0 && !syscall(SYS_bpf, BPF_OBJ_GET_INFO_BY_FD, &about, sizeof about), "map");
	notes.count = info.max_entries;
	notes.size = (info.value_size + 7) & ~7u;
	notes.at = mmap(NULL, (size_t)notes.count * notes.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	need(notes.at != MAP_FAILED, "mmap");
}

// As meshd does when it accepts; else every place would be taken after some seconds. Who is not captured asks for the
// address too, so that both do the same.
static void free_note(int peer)
{
	struct sockaddr_in local = { 0 };
	if (getsockname(peer, (void *)&local, &(socklen_t){ sizeof local }) || !notes.at)
		return;
	__atomic_store_n((uint64_t *)(notes.at + ntohl(local.sin_addr.s_addr) % notes.count * notes.size), 0,
			 __ATOMIC_RELEASE);
}

static _Noreturn void answer(const char *port)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), ep = epoll_create1(0);
	struct sockaddr_in a = address("0.0.0.0", port);
	// Tied to lo it comes before a listener of meshd that is not: captured connections end here.
	need(!setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &(int){ 1 }, sizeof(int)) &&
		     !setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2) &&
		     !bind(fd, (void *)&a, sizeof a) && !listen(fd, 4096),
	     "listen");
	epoll_ctl(ep, EPOLL_CTL_ADD, fd, &(struct epoll_event){ EPOLLIN, { .fd = fd } });
	for (;;) {
		struct epoll_event ready[BATCH];
		int n = epoll_wait(ep, ready, BATCH, -1);
		for (int i = 0; i < n; i++) {
			int one = ready[i].data.fd;
			char bytes[64];
			ssize_t got;
			if (one == fd) {
				int peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
				free_note(peer);
				epoll_ctl(ep, EPOLL_CTL_ADD, peer, &(struct epoll_event){ EPOLLIN, { .fd = peer } });
			} else if ((got = read(one, bytes, sizeof bytes)) <= 0 || write(one, bytes, got) < 0) {
				close(one);
			}
		}
	}
}

static int connects(struct sockaddr_in to, double seconds)
{
	long done = 0, failed = 0;
	double start = now(), spent = cpu(), t = start;
	for (; t - start < seconds; t = now()) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);
		char byte = 'x';
		if (connect(fd, (void *)&to, sizeof to) || write(fd, &byte, 1) != 1 || read(fd, &byte, 1) != 1)
			failed++;
		else
			done++;
		// Ends by a reset: no TIME_WAIT is left to run out of ports.
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
		close(fd);
	}
	printf("{\"n\":%ld,\"failed\":%ld,\"seconds\":%.3f,\"cpu\":%.6f}\n", done, failed, t - start, cpu() - spent);
	return 0;
}

static char data[BATCH][LARGEST];
static struct iovec parts[BATCH];
static struct mmsghdr messages[BATCH];
static struct sockaddr_in senders[BATCH];

// messages[0..n) for recvmmsg or sendmmsg, of `size` bytes each.
static void prepare(int n, size_t size, int with_sender)
{
	for (int i = 0; i < n; i++) {
		parts[i] = (struct iovec){ data[i], size };
		messages[i] = (struct mmsghdr){ .msg_hdr = { .msg_iov = &parts[i], .msg_iovlen = 1 } };
		if (with_sender) {
			messages[i].msg_hdr.msg_name = &senders[i];
			messages[i].msg_hdr.msg_namelen = sizeof senders[i];
		}
	}
}

static int datagram_socket(int flags)
{
	int fd = socket(AF_INET, SOCK_DGRAM | flags, 0), size = BUFFER;
	need(fd >= 0, "socket");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size))
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
	return fd;
}

static _Noreturn void echo(const char *port)
{
	int fd = datagram_socket(0);
	struct sockaddr_in a = address("127.0.0.1", port);
	need(!bind(fd, (void *)&a, sizeof a), "bind");
	for (;;) {
		prepare(BATCH, LARGEST, 1);
		int n = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);
		for (int i = 0; i < n; i++)
			parts[i].iov_len = messages[i].msg_len;
		for (int sent = 0, more; sent < n; sent += more > 0 ? more : 1)
			more = sendmmsg(fd, messages + sent, n - sent, 0);
	}
}

struct flow {
	int fd, under_way;
	double last;
};
static struct flow *flows;
static int flow_count, size;
static long sent, echoed, lost;

static int open_flows(struct sockaddr_in to)
{
	int ep = epoll_create1(0);
	flows = calloc(flow_count, sizeof *flows);
	need(flows != NULL, "flows");
	for (int i = 0; i < flow_count; i++) {
		flows[i].fd = datagram_socket(SOCK_NONBLOCK);
		need(!connect(flows[i].fd, (void *)&to, sizeof to), "connect");
		epoll_ctl(ep, EPOLL_CTL_ADD, flows[i].fd, &(struct epoll_event){ EPOLLIN, { .u32 = i } });
	}
	return ep;
}

static int send_on(struct flow *flow, int n)
{
	if (n <= 0)
		return 0;
	prepare(n, size, 0);
	int done = sendmmsg(flow->fd, messages, n, 0);
	done = done > 0 ? done : 0;
	sent += done;
	flow->under_way += done;
	flow->last = now();
	return done;
}

// Takes what came back; which flows had something is told to `then`.
static void receive(int ep, int milliseconds, int window)
{
	struct epoll_event ready[256];
	int count = epoll_wait(ep, ready, 256, milliseconds);
	for (int i = 0; i < count; i++) {
		struct flow *flow = &flows[ready[i].data.u32];
		prepare(BATCH, LARGEST, 0);
		int n = recvmmsg(flow->fd, messages, BATCH, MSG_DONTWAIT, NULL);
		if (n <= 0)
			continue;
		echoed += n;
		flow->under_way = n < flow->under_way ? flow->under_way - n : 0;
		send_on(flow, window - flow->under_way);
	}
}

static void report(double took)
{
	printf("{\"n\":%ld,\"sent\":%ld,\"failed\":%ld,\"seconds\":%.3f}\n", echoed, sent, lost, took);
}

static int loop(struct sockaddr_in to, int window, double seconds)
{
	int ep = open_flows(to);
	for (int i = 0; i < flow_count; i++)
		send_on(&flows[i], window);
	double start = now(), checked = start, t;
	while ((t = now()) - start < seconds) {
		receive(ep, 10, window);
		if (t - checked < SILENCE / 2)
			continue;
		checked = t;
		for (struct flow *flow = flows; flow < flows + flow_count; flow++)
			if (flow->under_way && t - flow->last > SILENCE) {
				lost += flow->under_way;
				flow->under_way = 0;
				send_on(flow, window);
			}
	}
	report(now() - start);
	return 0;
}

static int pace(struct sockaddr_in to, double rate, double seconds)
{
	int ep = open_flows(to), next = 0;
	prctl(PR_SET_TIMERSLACK, 1);
	double start = now(), t;
	while ((t = now()) - start < seconds) {
		for (long due = (t - start) * rate - sent; due > 0; next++) {
			int share = due < 4 ? due : 4; // small bursts: a rate, not a flood every tick
			due -= share;
			if (send_on(&flows[next % flow_count], share) < share)
				break;
		}
		receive(ep, 0, 0);
		nanosleep(&(struct timespec){ 0, 100000 }, NULL);
	}
	double took = now() - start;
	for (double end = now() + 3 * SILENCE; now() < end && echoed < sent;)
		receive(ep, 10, 0);
	lost = sent - echoed;
	report(took);
	return 0;
}

int main(int n, char **word)
{
	const char *what = n > 1 ? word[1] : "";
	if ((n == 3 || n == 4) && !strcmp(what, "answer")) {
		if (n == 4)
			open_notes(atoi(word[3]));
		answer(word[2]);
	}
	if (n == 3 && !strcmp(what, "echo"))
		echo(word[2]);
	if (n == 5 && !strcmp(what, "connect"))
		return connects(address(word[2], word[3]), atof(word[4]));
	if (n != 8)
		return 2;
	flow_count = atoi(word[4]);
	size = atoi(word[6]) < LARGEST ? atoi(word[6]) : LARGEST;
	struct sockaddr_in to = address(word[2], word[3]);
	if (!strcmp(what, "loop"))
		return loop(to, atoi(word[5]) < BATCH ? atoi(word[5]) : BATCH, atof(word[7]));
	return strcmp(what, "pace") ? 2 : pace(to, atof(word[5]), atof(word[7]));
}
