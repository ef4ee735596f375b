/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An echo server: one thread, one epoll set, its answers sent through flows.
 *
 * echo [PORT [POOL]] listens on 127.0.0.1:PORT (default: any) and says on stdout
 * where.  With POOL the kernel threads of that pool do the sending where that
 * pays.  On a kernel without SAIO it says so in one line on stderr, and writes to
 * its sockets.
 *
 * cc echo.c $(pkg-config --cflags --libs saio) -o echo
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <saio.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_EVENTS	64
#define BUFFER		16384

/* Tags: that of the wait; all else is quiet, and only tells of failures. */
#define TAG_WAIT	1
#define TAG_SEND	2

struct connection {
	int		fd;
	bool		has_flow;	/* without one the socket is written to */
	bool		ended;		/* the peer sends no more */
	uint32_t	flow;
	size_t		start, end;	/* of what was read and not sent */
	char		bytes[BUFFER];
};

static struct saio *ring;	/* NULL without SAIO */
static int epoll_fd;

static void die(const char *what)
{
	fprintf(stderr, "echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void open_ring(const char *pool)
{
	/* Each send to a peer that does not read takes up a completion. */
	struct saio_options options = { .cq_entries = 4096 };
	int ret = saio_ring_open(&ring, &options);

	if (!ret && pool)
		ret = saio_pool_attach(ring, pool, SAIO_MODE_AUTO);
	if (!ret)
		return;
	fprintf(stderr, "echo: going on without SAIO: %s\n", strerror(-ret));
	saio_ring_close(ring);
	ring = NULL;
}

/* Takes completions.  Returns whether that of the wait is there, in *n. */
static bool take_completions(int *n)
{
	struct saio_completion done;
	bool waited = false;

	while (saio_next_completion(ring, &done) == 1) {
		if (done.tag == TAG_WAIT) {
			*n = done.result;
			waited = true;
		} else if (done.result < 0) {
			fprintf(stderr, "echo: sending: %s\n",
				strerror(-done.result));
		}
	}
	return waited;
}

/* Sends what is queued and waits for events, in one crossing into the kernel. */
static int wait_for_events(struct epoll_event *events)
{
	uint64_t args[6] = {
		epoll_fd, (uintptr_t)events, MAX_EVENTS, (uint64_t)-1,
	};
	int n, ret;

	/* The queue may be full because of peers that do not read. */
	if (!ring || saio_call(ring, SYS_epoll_wait, args, 0, TAG_WAIT)) {
		if (ring)
			take_completions(&n);
		n = epoll_wait(epoll_fd, events, MAX_EVENTS, -1);
		return n < 0 ? -errno : n;
	}
	do {
		/* What a signal left is taken by the next turn. */
		ret = saio_submit(ring);
		if (ret < 0 && ret != -EINTR)
			return ret;
	} while (!take_completions(&n));
	return n;
}

static int watch(struct connection *c, int op, uint32_t what)
{
	struct epoll_event event = { .events = what, .data.ptr = c };

	return epoll_ctl(epoll_fd, op, c->fd, &event);
}

static void accept_all(int listener)
{
	struct connection *c;
	int fd;

	while ((fd = accept4(listener, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			continue;
		}
		c->fd = fd;
		c->has_flow = ring && !saio_flow_register(ring, fd, &c->flow);
		if (watch(c, EPOLL_CTL_ADD, EPOLLIN)) {
			close(fd);
			free(c);
		}
	}
}

/* Sends some of what there is: how much, or a negated errno. */
static ssize_t send_some(struct connection *c)
{
	char *from = c->bytes + c->start;
	size_t len = c->end - c->start;
	ssize_t n = -ENOBUFS;
	int none;

	if (c->has_flow) {
		n = saio_send(ring, c->flow, from, len, SAIO_QUIET, TAG_SEND);
		if (n == -ENOBUFS) {
			/* Room comes with completions. */
			saio_submit(ring);
			take_completions(&none);
			n = saio_send(ring, c->flow, from, len, SAIO_QUIET,
				      TAG_SEND);
		}
	}
	if (n != -ENOBUFS)
		return n;
	/*
	 * No flow, or peers that do not read have all of the arena.  The kernel
	 * keeps the order.
	 */
	n = send(c->fd, from, len, MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

/* Sends what can be sent now: 0, or a negated errno. */
static int send_rest(struct connection *c)
{
	while (c->start < c->end) {
		ssize_t n = send_some(c);

		if (n < 0)
			return n == -EAGAIN ? 0 : n;
		c->start += n;
	}
	c->start = c->end = 0;
	return 0;
}

/* Reads once and sends that back.  Returns whether the connection goes on. */
static bool serve(struct connection *c)
{
	bool waited = c->end, waits;
	ssize_t n;
	int ret;

	if (!waited) {
		n = read(c->fd, c->bytes, sizeof(c->bytes));
		if (n > 0)
			c->end = n;
		else if (!n)
			c->ended = true;
		else if (errno != EAGAIN)
			return false;
	}
	ret = send_rest(c);
	if (ret) {
		fprintf(stderr, "echo: %s\n", strerror(-ret));
		return false;
	}
	waits = c->end;
	if (c->ended && !waits)
		return false;
	/* Nothing is read from who does not take the answers. */
	if (waits != waited)
		return !watch(c, EPOLL_CTL_MOD, waits ? EPOLLOUT : EPOLLIN);
	return true;
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&addr, len) || listen(fd, 128) ||
	    getsockname(fd, (struct sockaddr *)&addr, &len))
		die("listen");
	printf("listening on 127.0.0.1:%d\n", ntohs(addr.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event events[MAX_EVENTS];
	struct connection listener = { 0 };

	open_ring(argc > 2 ? argv[2] : NULL);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	listener.fd = listen_on(argc > 1 ? atoi(argv[1]) : 0);
	if (watch(&listener, EPOLL_CTL_ADD, EPOLLIN))
		die("epoll_ctl");

	for (;;) {
		int n = wait_for_events(events);

		if (n == -EINTR)
			continue;
		if (n < 0) {
			errno = -n;
			die("waiting");
		}
		for (int i = 0; i < n; i++) {
			struct connection *c = events[i].data.ptr;

			if (c == &listener) {
				accept_all(listener.fd);
			} else if (!serve(c)) {
				/* What was accepted for its flow leaves. */
				close(c->fd);
				free(c);
			}
		}
	}
}
