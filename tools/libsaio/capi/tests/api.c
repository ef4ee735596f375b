/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What C sees of libsaio: the header beside that of the kernel, and on a kernel
 * with SAIO the calls at work.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/saio.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <saio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(sizeof(struct saio_options) == 32, "grows by its reserve");
_Static_assert(offsetof(struct saio_options, resv) == 20, "no padding");
_Static_assert(sizeof(struct saio_completion) == 16, "no padding");
_Static_assert(offsetof(struct saio_completion, result) == 8, "no padding");

#define CHECK(what) do {						\
	if (!(what)) {							\
		fprintf(stderr, "line %d: not so: %s\n", __LINE__, #what); \
		exit(1);						\
	}								\
} while (0)

static struct saio *ring;

/* A connection to ourselves: the end that is to be a flow is *near. */
static void connection(int *near, int *far)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);

	CHECK(!bind(listener, (struct sockaddr *)&addr, len));
	CHECK(!listen(listener, 1));
	CHECK(!getsockname(listener, (struct sockaddr *)&addr, &len));
	*far = socket(AF_INET, SOCK_STREAM, 0);
	CHECK(!connect(*far, (struct sockaddr *)&addr, len));
	*near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
	CHECK(*near >= 0);
	close(listener);
}

static void next(uint64_t tag, int64_t result)
{
	struct saio_completion done;

	CHECK(saio_next_completion(ring, &done) == 1);
	if (done.tag != tag || done.result != result) {
		fprintf(stderr, "completion %d: %d instead of %d: %d\n",
			(int)done.tag, (int)done.result, (int)tag, (int)result);
		exit(1);
	}
}

static void nothing_more(void)
{
	struct saio_completion done;

	CHECK(saio_next_completion(ring, &done) == 0);
}

static void files(void)
{
	static char buf[64];
	uint64_t open[6] = {
		(uint64_t)AT_FDCWD, (uintptr_t)"/proc/self/comm", O_RDONLY,
	};
	uint64_t read[6] = { 0, (uintptr_t)buf, sizeof(buf) };
	struct saio_completion done;

	CHECK(!saio_call(ring, SYS_openat, open, SAIO_LINK, 1));
	CHECK(!saio_call_result(ring, SYS_read, read, 0, 1, SAIO_HARDLINK, 2));
	CHECK(!saio_call_result(ring, SYS_close, (uint64_t[6]){ 0 }, 0, 2,
				SAIO_QUIET, 3));
	CHECK(saio_submit(ring) == 3);
	CHECK(saio_next_completion(ring, &done) == 1);
	CHECK(done.tag == 1 && done.result >= 0);
	CHECK(fcntl(done.result, F_GETFD) == -1 && errno == EBADF);
	CHECK(saio_next_completion(ring, &done) == 1);
	CHECK(done.tag == 2 && done.result > 0 && buf[done.result - 1] == '\n');
	nothing_more();
	/* Calls that may not stand in a batch, and one that there is not. */
	CHECK(!saio_call(ring, SYS_fork, (uint64_t[6]){ 0 }, 0, 4));
	CHECK(!saio_call(ring, 9999, (uint64_t[6]){ 0 }, 0, 5));
	CHECK(saio_submit(ring) == 2);
	next(4, -EOPNOTSUPP);
	next(5, -ENOSYS);
}

static void flows(void)
{
	static char buf[100000];
	struct iovec iov[2] = { { "two ", 4 }, { "three ", 6 } };
	char path[] = "/tmp/saio-api-XXXXXX";
	int near, far, file, one = 1;
	uint32_t flow;
	ssize_t n;

	connection(&near, &far);
	CHECK(saio_flow_register(ring, 0, &flow) == -ENOTSOCK ||
	      saio_flow_register(ring, 0, &flow) == -EBADF);
	CHECK(!saio_flow_register(ring, near, &flow));
	CHECK(saio_flow_register(ring, near, &flow) == -EEXIST);
	CHECK(saio_flow_health(ring, flow) == SAIO_HEALTH_USABLE);

	file = mkstemp(path);
	CHECK(file >= 0 && write(file, "-four-", 6) == 6);
	CHECK(!unlink(path));
	CHECK(saio_send(ring, flow, "one ", 4, 0, 1) == 4);
	CHECK(saio_sendv(ring, flow, iov, 2, SAIO_QUIET, 2) == 10);
	CHECK(!saio_sendfile(ring, flow, file, 1, 4, 0, 3));
	CHECK(!saio_setsockopt(ring, flow, IPPROTO_TCP, TCP_NODELAY, &one,
			       sizeof(one), 0, 4));
	CHECK(!saio_shutdown(ring, flow, SHUT_WR, 0, 5));
	CHECK(saio_submit(ring) >= 0);
	/* The quiet one counts. */
	CHECK(saio_wait(ring, 5, 1000000000) >= 0);
	next(1, 4);
	next(3, 4);
	next(4, 0);
	next(5, 0);
	nothing_more();
	CHECK(recv(far, buf, 18, MSG_WAITALL) == 18);
	CHECK(!memcmp(buf, "one two three four", 18));
	CHECK(recv(far, buf, 1, 0) == 0);
	close(near);
	close(far);
	close(file);
	CHECK(saio_flow_health(ring, flow) == SAIO_HEALTH_GONE);
	CHECK(saio_send(ring, flow, "x", 1, 0, 1) == -EBADF);

	/* A peer that does not read, and then does. */
	connection(&near, &far);
	CHECK(!saio_flow_register(ring, near, &flow));
	for (int i = 0; i < 1000; i++) {
		n = saio_send(ring, flow, buf, sizeof(buf), SAIO_QUIET, 6);
		if (n == -EAGAIN)
			break;
		CHECK(n > 0 || n == -ENOBUFS);
		saio_submit(ring);
		nothing_more();
		/* The pool may not have got so far. */
		if (n == -ENOBUFS)
			usleep(1000);
	}
	CHECK(n == -EAGAIN);
	CHECK(saio_flow_health(ring, flow) == SAIO_HEALTH_FULL);
	close(near);
	while ((n = recv(far, buf, sizeof(buf), 0)) > 0)
		;
	CHECK(n == 0);
	close(far);
	nothing_more();
}

static void waits(void)
{
	int ret = saio_wait(ring, 1, 1000000);

	CHECK(ret == -EDEADLK || ret == -ETIME);
	CHECK(saio_submit(ring) == 0);
	CHECK(saio_pool_attach(ring, "no-such-pool", SAIO_MODE_AUTO) == -ENOENT);
	CHECK(saio_pool_attach(ring, NULL, SAIO_MODE_INLINE) == -EINVAL);
}

static void restricted(void)
{
	static const long calls[] = { SYS_getpid, SYS_getppid };

	CHECK(saio_restrict(ring, calls, 2, ~0u) == -EINVAL);
	CHECK(!saio_restrict(ring, calls, 2, 0));
	CHECK(!saio_restrict(ring, calls + 1, 1, 0));
	for (int i = 0; i < 2; i++) {
		CHECK(!saio_call(ring, calls[i], (uint64_t[6]){ 0 }, 0, 7));
		CHECK(saio_submit(ring) == 1);
		next(7, i ? getppid() : -EACCES);
	}
}

int main(void)
{
	struct saio_options options = { .sq_entries = 64, .flows = 8 };
	int ret;

	ret = saio_ring_open(&ring, &options);
	CHECK(!ret == !saio_probe());
	if (ret) {
		CHECK(!ring);
		printf("only the header was checked: no SAIO here: %s\n",
		       strerror(-ret));
		return 0;
	}
	CHECK(saio_room(ring) == 64);
	waits();
	files();
	flows();
	/* As root, once more with a pool. */
	ret = saio_pool_attach(ring, NULL, SAIO_MODE_POOL);
	printf("default pool: %s\n", strerror(-ret));
	if (!ret) {
		flows();
		CHECK(saio_restrict(ring, NULL, 0, SAIO_RESTRICT_NO_POOL) == -EBUSY);
	}
	restricted();
	saio_ring_close(ring);
	printf("all checked\n");
	return 0;
}
